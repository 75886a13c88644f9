-- Rule link: the contact of an earlier sync, if it is still in this organization, and not decided away.
-- Needs: pool_users, linked, taken.
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT l.u, l.contact_id, NULL::VARCHAR AS seen
FROM linked l SEMI JOIN pool_users USING (u)
WHERE l.is_there AND l.contact_id NOT IN (SELECT contact_id FROM taken WHERE is_decided)
