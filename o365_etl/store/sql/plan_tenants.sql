-- The tenants that something may be planned for: read completely, and matched, or waiting for an organization that a
-- person wants created (organization_id NULL). Stale ones are left as they are.
-- Needs: licensed_connections(connection), pending(tenant_id).
CREATE OR REPLACE TEMP TABLE plan_tenants AS
SELECT
    t.tenant_id,
    t.display_name,
    m.organization_id,
    o.name AS organization_name,
    o.sync_owner,
    t.connection IN (SELECT connection FROM licensed_connections) AS with_licenses
FROM m365.tenants t
JOIN "match".organizations m USING (tenant_id)
LEFT JOIN itglue.organizations o ON o.organization_id = m.organization_id
WHERE NOT t.is_stale
  AND NOT EXISTS (FROM sync.tenants s WHERE s.tenant_id = t.tenant_id AND s.status = 'excluded')
  AND (o.organization_id IS NOT NULL OR t.tenant_id IN (SELECT tenant_id FROM pending))
