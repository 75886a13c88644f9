-- The outcomes that are not those of the last match, with the row `old` of that one's: NULL of a new user, and of one
-- who is gone nothing else. Most are the same, and writing costs more than comparing.
-- Needs: batch, match_outcomes(), differing.
INSERT INTO differing BY NAME
WITH earlier AS (
    SELECT rowid AS old, * FROM "match".contacts WHERE tenant_id IN (SELECT tenant_id FROM batch)
)
SELECT o.*, m.old
FROM match_outcomes() o FULL JOIN earlier m ON m.tenant_id = o.tenant_id AND m.user_id = o.user_id
WHERE m.user_id IS NULL OR o.user_id IS NULL
   OR o.user_principal_name IS DISTINCT FROM m.user_principal_name
   OR o.organization_id IS DISTINCT FROM m.organization_id
   OR o.contact_id IS DISTINCT FROM m.contact_id
   OR o.status IS DISTINCT FROM m.status
   OR o.rule IS DISTINCT FROM m.rule
   OR o.candidates IS DISTINCT FROM m.candidates
   OR o.evidence IS DISTINCT FROM m.evidence
