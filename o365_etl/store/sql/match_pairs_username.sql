-- Rule username: the user principal name equals any e-mail of the contact. It is made comparable only of those who are
-- left.
-- Needs: pool_users, pool_organizations, pool_contacts, settled, comparable().
CREATE OR REPLACE TEMP TABLE pairs AS
WITH unsettled AS MATERIALIZED (
    SELECT p.u, p.organization_id, comparable(u.user_principal_name) AS username
    FROM pool_users p ANTI JOIN settled USING (u) JOIN m365.users u ON u.rowid = p.u
),
emails AS (
    SELECT c.contact_id, c.organization_id, e.address
    FROM itglue.contact_emails e JOIN (FROM pool_contacts ANTI JOIN settled USING (contact_id)) c USING (contact_id)
    WHERE e.organization_id IN (FROM pool_organizations)
)
SELECT p.u, e.contact_id, p.username AS seen
FROM unsettled p JOIN emails e ON e.address = p.username AND e.organization_id = p.organization_id
