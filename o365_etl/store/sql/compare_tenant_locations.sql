-- The location that each fresh matched tenant's address is compared with: the one this program created for it, else the
-- one named like the tenant, else the primary one, else the only one. Several without a mark leave open which is meant.
-- Needs: fresh, comparable(), places(tenant_id, location_id).
INSERT INTO work.tenant_locations BY NAME
WITH candidates AS (
    SELECT
        t.tenant_id,
        l.location_id,
        l.is_primary,
        l.location_id IN (SELECT location_id FROM places p WHERE p.tenant_id = t.tenant_id) AS is_ours,
        coalesce(comparable(l.name) = t.name_key, false) AS is_named_alike,
        count(*) OVER (PARTITION BY t.tenant_id) AS rivals
    FROM m365.tenants t
    JOIN "match".organizations m ON m.tenant_id = t.tenant_id AND m.status = 'matched'
    JOIN itglue.locations l ON l.organization_id = m.organization_id
    WHERE t.tenant_id IN (SELECT tenant_id FROM fresh)
)
SELECT
    tenant_id,
    location_id,
    CAST(rivals > 1 AND NOT is_ours AND NOT is_named_alike AND NOT coalesce(is_primary, false) AS VARCHAR) AS is_open
FROM candidates
QUALIFY row_number() OVER (
    PARTITION BY tenant_id ORDER BY is_ours DESC, is_named_alike DESC, is_primary DESC NULLS LAST, location_id
) = 1
