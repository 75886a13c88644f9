-- The users of the batch for whom a rule has to find a contact: in scope, in a matched tenant, undecided, and not
-- linked to a contact that is gone: that is a person's business. `u` is the
-- row of the user, so that what follows carries a number instead of two ids.
-- Needs: batch(tenant_id), decided, linked.
CREATE OR REPLACE TEMP TABLE pool_users AS
SELECT u.rowid AS u, m.organization_id, u.name_key
FROM m365.users u
JOIN "match".organizations m ON m.tenant_id = u.tenant_id AND m.status = 'matched'
WHERE u.in_scope
  AND u.tenant_id IN (SELECT tenant_id FROM batch)
  AND NOT EXISTS (FROM decided d WHERE d.u = u.rowid)
  AND NOT EXISTS (FROM linked l WHERE l.u = u.rowid AND NOT l.is_there)
