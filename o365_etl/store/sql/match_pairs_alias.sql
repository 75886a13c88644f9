-- Rule alias: any address of the user except the bare user name equals any e-mail of the contact. The address is joined
-- first and by itself: by the organization alone, everybody in it would be paired with everybody.
-- Needs: batch, pool_users, pool_emails.
CREATE OR REPLACE TEMP TABLE pairs AS
WITH found AS MATERIALIZED (
    SELECT a.tenant_id, a.user_id, e.*
    FROM m365.user_addresses a
    JOIN pool_emails e USING (address)
    WHERE a.kind IN ('primary', 'alias', 'other') AND a.tenant_id IN (SELECT tenant_id FROM batch)
)
SELECT p.u, f.contact_id, min(f.address) AS seen
FROM found f JOIN pool_users p USING (tenant_id, user_id, organization_id)
GROUP BY ALL
