-- A user who would be created and resembles a contact that nobody has, goes to a person first.
-- Needs: held(tenant_id, user_id, candidates, evidence).
UPDATE "match".contacts AS m
SET status = 'ambiguous', rule = NULL, candidates = held.candidates, evidence = held.evidence
FROM held
WHERE m.tenant_id = held.tenant_id AND m.user_id = held.user_id AND m.status = 'create'
