-- Each product of each tenant against the asset that documents it, with the contacts of those who hold it.
-- Needs: batch(tenant_id), plan_tenants, new_contacts(tenant_id, user_id).
WITH tenants AS (
    SELECT *
    FROM plan_tenants
    WHERE with_licenses AND tenant_id IN (SELECT tenant_id FROM batch)
      -- Not one product known: a tenant whose licenses were not read.
      AND tenant_id IN (SELECT tenant_id FROM m365.licenses)
),
holders AS (
    SELECT tenant_id, sku_id, list(DISTINCT tag) AS tags
    FROM (
        SELECT a.tenant_id, a.sku_id, m.contact_id AS tag
        FROM m365.license_assignments a
        JOIN "match".contacts m ON m.tenant_id = a.tenant_id AND m.user_id = a.user_id AND m.status = 'matched'
        WHERE a.tenant_id IN (SELECT tenant_id FROM tenants)
        UNION ALL
        SELECT a.tenant_id, a.sku_id, 'user:' || n.user_id
        FROM m365.license_assignments a
        JOIN new_contacts n ON n.tenant_id = a.tenant_id AND n.user_id = a.user_id
        WHERE a.tenant_id IN (SELECT tenant_id FROM tenants)
    )
    GROUP BY ALL
),
assets AS (
    SELECT DISTINCT ON (a.tenant_id, a.sku_id) a.*
    FROM itglue.license_assets a
    JOIN tenants t ON t.tenant_id = a.tenant_id AND t.organization_id = a.organization_id
    WHERE a.sku_id IS NOT NULL
    ORDER BY a.tenant_id, a.sku_id, length(a.asset_id), a.asset_id
),
keys AS (
    SELECT tenant_id, sku_id FROM m365.licenses WHERE tenant_id IN (SELECT tenant_id FROM tenants)
    UNION
    SELECT tenant_id, sku_id FROM assets
)
SELECT
    k.tenant_id,
    k.sku_id,
    t.organization_id,
    a.asset_id,
    l.sku_id IS NOT NULL AS is_held,
    l.product_name,
    l.status,
    l.active,
    l.consumed,
    l.unused,
    strftime(l.renews_at, '%Y-%m-%d') AS renewal_date,
    a.product_name AS found_product_name,
    a.status AS found_status,
    a.active AS found_active,
    a.consumed AS found_consumed,
    a.unused AS found_unused,
    a.renewal_date AS found_renewal_date,
    coalesce(h.tags, []) AS tags_wanted,
    coalesce(a.contact_ids, '[]') AS tags_found
FROM keys k
JOIN tenants t USING (tenant_id)
LEFT JOIN m365.licenses l ON l.tenant_id = k.tenant_id AND l.sku_id = k.sku_id
LEFT JOIN assets a ON a.tenant_id = k.tenant_id AND a.sku_id = k.sku_id
LEFT JOIN holders h ON h.tenant_id = k.tenant_id AND h.sku_id = k.sku_id
