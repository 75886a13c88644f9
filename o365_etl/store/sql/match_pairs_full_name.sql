-- Rule full_name: first name + last name equal, both present.
-- Needs: pool_users, pool_contacts, settled.
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT p.u, c.contact_id, p.name_key AS seen
FROM (SELECT * FROM pool_users ANTI JOIN settled USING (u)) p
JOIN (SELECT * FROM pool_contacts ANTI JOIN settled USING (contact_id)) c USING (name_key, organization_id)
