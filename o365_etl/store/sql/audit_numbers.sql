-- The phone numbers of the new users, as far as the audit compares them: whoever else has one of these counts.
-- Needs: audit_new, digits(). Parameter: national (how many digits from the right).
CREATE OR REPLACE TEMP TABLE audit_numbers AS
SELECT DISTINCT organization_id, right(digits(phone), $national) AS number
FROM (SELECT organization_id, unnest(phones) AS phone FROM audit_new)
WHERE digits(phone) <> ''
