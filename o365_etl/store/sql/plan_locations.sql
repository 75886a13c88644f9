-- Each tenant's address against the location it is compared with; location_id NULL: the organization has none.
-- Needs: batch(tenant_id), plan_tenants, places(tenant_id, location_id): the locations that this program created.
SELECT
    t.tenant_id,
    t.display_name,
    t.organization_id,
    w.location_id,
    w.location_id IS NOT NULL AND w.location_id IN (SELECT location_id FROM places) AS is_ours,
    list({field: c.field, m: c.m365_value, i: c.itglue_value, state: c.state}) AS sides
FROM plan_tenants t
LEFT JOIN work.tenant_locations w USING (tenant_id)
JOIN compare.organizations c ON c.tenant_id = t.tenant_id AND c.field <> 'name'
WHERE t.tenant_id IN (SELECT tenant_id FROM batch) AND coalesce(w.is_open, 'false') = 'false'
GROUP BY ALL
HAVING bool_and(c.state <> 'unknown')
UNION ALL
-- Of an organization that is still to be created nothing was compared.
SELECT
    t.tenant_id,
    t.display_name,
    NULL,
    NULL,
    false,
    [
        {field: 'address_1', m: m.street, i: NULL, state: 'only_m365'},
        {field: 'city', m: m.city, i: NULL, state: 'only_m365'},
        {field: 'region', m: m.state, i: NULL, state: 'only_m365'},
        {field: 'postal_code', m: m.postal_code, i: NULL, state: 'only_m365'},
        {field: 'country', m: coalesce(m.country, m.country_code), i: NULL, state: 'only_m365'},
        {field: 'phone', m: m.phone, i: NULL, state: 'only_m365'}
    ]
FROM plan_tenants t JOIN m365.tenants m USING (tenant_id)
WHERE t.tenant_id IN (SELECT tenant_id FROM batch) AND t.organization_id IS NULL
