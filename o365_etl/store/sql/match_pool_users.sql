-- The users of the batch for whom a rule has to find a contact: in scope, in a matched tenant, undecided, and not
-- linked to a contact that is gone: that is a person's business. `u` is the row of the user, as in `linked`.
-- Needs: batch(tenant_id), decided, linked.
CREATE OR REPLACE TEMP TABLE pool_users AS
SELECT u.rowid AS u, m.organization_id, u.name_key
FROM m365.users u
JOIN (FROM "match".organizations SEMI JOIN batch USING (tenant_id) WHERE status = 'matched') m USING (tenant_id)
WHERE u.in_scope
  AND NOT EXISTS (FROM decided d WHERE d.u = u.rowid)
  AND NOT EXISTS (FROM linked l WHERE l.u = u.rowid AND NOT l.is_there)
