-- Rule link: the contact of an earlier sync, if it is still in this organization, and not decided away.
-- Needs: pool_users, linked, taken.
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT p.u, l.contact_id, NULL::VARCHAR AS seen
FROM pool_users p
JOIN linked l USING (tenant_id, user_id, organization_id)
WHERE l.is_there AND l.contact_id NOT IN (SELECT contact_id FROM taken WHERE is_decided)
