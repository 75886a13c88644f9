-- Rule full_name: first name + last name equal, both present.
-- Needs: pool_users, pool_contacts.
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT p.u, c.contact_id, p.name_key AS seen
FROM pool_users p JOIN pool_contacts c USING (name_key, organization_id)
