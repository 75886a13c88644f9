-- The contacts of the new users' organizations: those that nobody has, and whichever else has one of the new users' phone
-- numbers, to show which is a switchboard's. Of those that have the very same phones so many as make a switchboard say
-- what all say.
-- Needs: audit_new, audit_numbers(organization_id, number), audit_free, digits(). Parameters: national, switchboard.
INSERT INTO audit_contacts BY NAME
WITH free AS MATERIALIZED (
    FROM audit_free SEMI JOIN audit_new USING (organization_id)
),
callers AS (
    SELECT DISTINCT p.contact_id
    FROM itglue.contact_phones p
    JOIN itglue.contacts c USING (contact_id)
    WHERE right(digits(p.number), $national) IN (SELECT number FROM audit_numbers)
      AND (c.organization_id, right(digits(p.number), $national)) IN (FROM audit_numbers)
),
people AS (
    SELECT contact_id, true AS is_free FROM free
    UNION ALL
    SELECT contact_id, false FROM callers ANTI JOIN free USING (contact_id)
),
phones AS (
    SELECT contact_id, list(number ORDER BY number) AS phones
    FROM itglue.contact_phones SEMI JOIN people USING (contact_id)
    GROUP BY contact_id
),
addresses AS (
    SELECT contact_id, list(address ORDER BY address) AS addresses
    FROM itglue.contact_emails SEMI JOIN free USING (contact_id)
    GROUP BY contact_id
)
SELECT
    c.organization_id,
    c.contact_id,
    CASE WHEN is_free THEN c.first_name END AS first_name,
    CASE WHEN is_free THEN c.last_name END AS last_name,
    CASE WHEN is_free THEN c.title END AS title,
    coalesce(n.phones, []) AS phones,
    coalesce(a.addresses, []) AS addresses,
    is_free
FROM people
JOIN itglue.contacts c USING (contact_id)
LEFT JOIN phones n USING (contact_id)
LEFT JOIN addresses a USING (contact_id)
QUALIFY is_free OR row_number() OVER (
    PARTITION BY c.organization_id, is_free, n.phones ORDER BY c.contact_id
) <= $switchboard
