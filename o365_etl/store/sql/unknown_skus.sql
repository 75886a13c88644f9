-- The products that a tenant or a user holds and that nobody knows a name for, with who holds them. A product may be
-- known by its holders alone: a tenant does not list what it no longer buys.
-- Needs: known_skus(sku_id).
WITH held AS (
    SELECT sku_id, tenant_id, NULL AS user_id, sku_part_number, consumed
    FROM m365.licenses
    WHERE sku_id NOT IN (SELECT sku_id FROM known_skus)
    UNION ALL
    SELECT DISTINCT sku_id, tenant_id, user_id, NULL, NULL
    FROM m365.license_assignments
    WHERE sku_id NOT IN (SELECT sku_id FROM known_skus)
)
SELECT
    sku_id,
    min(sku_part_number) AS sku_part_number,
    count(DISTINCT tenant_id) AS tenants,
    count(DISTINCT (tenant_id, user_id)) FILTER (user_id IS NOT NULL) AS users,
    sum(consumed)::BIGINT AS consumed
FROM held
GROUP BY sku_id
ORDER BY sku_id
