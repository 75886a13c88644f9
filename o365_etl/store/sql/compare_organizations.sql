-- The fresh matched tenants against their organization and its location. Where it is open which location is meant,
-- what it says is unknown.
-- Needs: fresh, work.tenant_locations, the macros. Parameter: locations_known (false: the locations could not be read).
INSERT INTO compare.organizations BY NAME
WITH tenants AS (
    SELECT t.*, o.organization_id, o.name AS organization_name
    FROM m365.tenants t
    JOIN "match".organizations m ON m.tenant_id = t.tenant_id AND m.status = 'matched'
    JOIN itglue.organizations o ON o.organization_id = m.organization_id
    WHERE t.tenant_id IN (SELECT tenant_id FROM fresh)
),
sides AS (
    SELECT t, l, coalesce(w.is_open, 'false') = 'true' OR NOT $locations_known AS is_open
    FROM tenants t
    LEFT JOIN work.tenant_locations w ON w.tenant_id = t.tenant_id
    LEFT JOIN itglue.locations l ON l.location_id = w.location_id
),
fields AS (
    SELECT t.tenant_id, t.organization_id, unnest([
        {field: 'name', m: t.display_name, m_code: NULL, i: t.organization_name, is_unknown: false},
        {field: 'address_1', m: t.street, m_code: NULL, i: l.address_1, is_unknown: is_open},
        {field: 'city', m: t.city, m_code: NULL, i: l.city, is_unknown: is_open},
        {field: 'region', m: t.state, m_code: NULL, i: l.region, is_unknown: is_open},
        {field: 'postal_code', m: t.postal_code, m_code: NULL, i: l.postal_code, is_unknown: is_open},
        {field: 'country', m: coalesce(t.country, t.country_code), m_code: t.country_code, i: l.country,
            is_unknown: is_open},
        {field: 'phone', m: t.phone, m_code: NULL, i: l.phone, is_unknown: is_open}
    ], recursive := true)
    FROM sides
),
shown AS (
    SELECT * REPLACE (text_value(m) AS m, CASE WHEN NOT is_unknown THEN text_value(i) END AS i) FROM fields
)
SELECT
    tenant_id,
    field,
    organization_id,
    m AS m365_value,
    i AS itglue_value,
    CASE
        WHEN is_unknown THEN 'unknown'
        WHEN field = 'phone' THEN compare_state(m, i, same_phone(m, i))
        WHEN field = 'country'
        THEN compare_state(m, i, comparable(m) = comparable(i) OR coalesce(comparable(m_code) = comparable(i), false))
        ELSE compare_state(m, i, comparable(m) = comparable(i))
    END AS state
FROM shown
