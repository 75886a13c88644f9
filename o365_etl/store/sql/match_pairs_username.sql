-- Rule username: the user principal name equals any e-mail of the contact.
-- Needs: pool_users, pool_emails.
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT p.u, e.contact_id, p.username AS seen
FROM pool_users p JOIN pool_emails e ON e.address = p.username AND e.organization_id = p.organization_id
