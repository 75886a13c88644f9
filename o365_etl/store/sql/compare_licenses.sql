-- The licenses of the fresh matched tenants, of connections that document licenses, against their license assets.
-- Unknown where a side was not read: no license assets known, or not one product known of a tenant that has assets.
-- Needs: fresh, licensed_connections(connection), the macros. Parameter: assets_known.
INSERT INTO compare.licenses BY NAME
WITH tenants AS (
    SELECT
        t.tenant_id,
        m.organization_id,
        $assets_known AND t.tenant_id IN (SELECT tenant_id FROM m365.licenses) AS is_known
    FROM m365.tenants t
    JOIN "match".organizations m ON m.tenant_id = t.tenant_id AND m.status = 'matched'
    WHERE t.tenant_id IN (SELECT tenant_id FROM fresh)
      AND t.connection IN (SELECT connection FROM licensed_connections)
),
assets AS (
    -- One asset per product: the eldest, where somebody made a second one.
    SELECT DISTINCT ON (a.tenant_id, a.sku_id) a.*
    FROM itglue.license_assets a
    JOIN tenants t ON t.tenant_id = a.tenant_id AND t.organization_id = a.organization_id
    WHERE a.sku_id IS NOT NULL
    ORDER BY a.tenant_id, a.sku_id, length(a.asset_id), a.asset_id
),
keys AS (
    SELECT tenant_id, sku_id FROM m365.licenses JOIN tenants USING (tenant_id)
    UNION
    SELECT tenant_id, sku_id FROM assets
),
sides AS (
    SELECT k.tenant_id, k.sku_id, t.organization_id, t.is_known, l, a
    FROM keys k
    JOIN tenants t USING (tenant_id)
    LEFT JOIN m365.licenses l ON l.tenant_id = k.tenant_id AND l.sku_id = k.sku_id
    LEFT JOIN assets a ON a.tenant_id = k.tenant_id AND a.sku_id = k.sku_id
),
fields AS (
    SELECT tenant_id, sku_id, organization_id, is_known, unnest([
        {field: 'product_name', m: l.product_name, i: a.product_name},
        {field: 'status', m: l.status, i: a.status},
        {field: 'active', m: l.active::VARCHAR, i: a.active::VARCHAR},
        {field: 'consumed', m: l.consumed::VARCHAR, i: a.consumed::VARCHAR},
        {field: 'unused', m: l.unused::VARCHAR, i: a.unused::VARCHAR}
    ], recursive := true)
    FROM sides
)
SELECT
    tenant_id,
    sku_id,
    field,
    organization_id,
    text_value(m) AS m365_value,
    text_value(i) AS itglue_value,
    CASE WHEN is_known THEN compare_state(text_value(m), text_value(i), comparable(m) = comparable(i))
         ELSE 'unknown' END AS state
FROM fields
