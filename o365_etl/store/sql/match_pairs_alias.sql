-- Rule alias: any address of the user except the bare user name equals any e-mail of the contact. The address is joined
-- first and by itself: by the organization alone, everybody in it would be paired with everybody.
-- Needs: batch, pool_users, pool_emails, settled.
CREATE OR REPLACE TEMP TABLE pairs AS
WITH free_emails AS (
    SELECT * FROM pool_emails ANTI JOIN settled USING (contact_id)
),
found AS MATERIALIZED (
    SELECT a.tenant_id, a.user_id, e.*
    FROM m365.user_addresses a
    JOIN free_emails e USING (address)
    WHERE a.kind IN ('primary', 'alias', 'other') AND a.tenant_id IN (SELECT tenant_id FROM batch)
)
SELECT p.u, f.contact_id, min(f.address) AS seen
FROM found f
JOIN (SELECT * FROM pool_users ANTI JOIN settled USING (u)) p USING (tenant_id, user_id, organization_id)
GROUP BY ALL
