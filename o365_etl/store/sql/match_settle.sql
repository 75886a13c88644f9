-- A rule decides where exactly one free contact stands against exactly one user. Every other user with a candidate is
-- settled without a contact: ambiguous. A contact that rivals of a stronger rule claim is a candidate, but not free.
-- Needs: pairs(u, contact_id, seen), rivals(u, contact_id). Parameter: rule.
INSERT INTO settled
WITH candidates AS (
    SELECT *, contact_id NOT IN (SELECT contact_id FROM rivals) AS is_free FROM pairs
),
per_user AS (
    SELECT
        u,
        count(*) FILTER (is_free) AS free,
        any_value(contact_id) FILTER (is_free) AS contact_id,
        any_value(seen) FILTER (is_free) AS seen
    FROM candidates
    GROUP BY u
),
per_contact AS (
    SELECT contact_id, count(*) AS users FROM candidates WHERE is_free GROUP BY contact_id
)
SELECT
    u,
    $rule AS rule,
    CASE WHEN free = 1 AND users = 1 THEN contact_id END AS contact_id,
    CASE WHEN free = 1 AND users = 1 THEN seen END AS seen
FROM per_user LEFT JOIN per_contact USING (contact_id)
