-- Rule username: the user principal name equals any e-mail of the contact.
-- Needs: pool_users, pool_emails, settled.
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT p.u, e.contact_id, p.username AS seen
FROM (SELECT * FROM pool_users ANTI JOIN settled USING (u)) p
JOIN (SELECT * FROM pool_emails ANTI JOIN settled USING (contact_id)) e
    ON e.address = p.username AND e.organization_id = p.organization_id
