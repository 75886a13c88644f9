-- Rule alias: any address of the user except the bare user name equals any e-mail of the contact. The address is joined
-- first and by itself: by the organization alone, everybody in it would be paired with everybody.
-- Needs: pool_users, pool_organizations, pool_contacts, settled.
CREATE OR REPLACE TEMP TABLE pairs AS
WITH emails AS (
    SELECT c.contact_id, c.organization_id, e.address
    FROM itglue.contact_emails e JOIN (FROM pool_contacts ANTI JOIN settled USING (contact_id)) c USING (contact_id)
    WHERE e.organization_id IN (FROM pool_organizations)
),
found AS MATERIALIZED (
    SELECT a.tenant_id, a.user_id, e.*
    FROM m365.user_addresses a JOIN emails e USING (address)
    WHERE a.kind IN ('primary', 'alias', 'other')
),
unsettled AS (
    SELECT p.u, p.organization_id, u.tenant_id, u.user_id
    FROM pool_users p ANTI JOIN settled USING (u) JOIN m365.users u ON u.rowid = p.u
)
SELECT p.u, f.contact_id, min(f.address) AS seen
FROM found f JOIN unsettled p USING (user_id, tenant_id, organization_id)
GROUP BY p.u, f.contact_id
