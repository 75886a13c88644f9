-- The contacts of the new users' organizations: those that nobody has, and whichever else has one of the new users' phone
-- numbers, to show which is a switchboard's.
-- Needs: audit_new, audit_numbers(organization_id, number), digits(). Parameter: national.
WITH people AS MATERIALIZED (
    SELECT
        c.*,
        NOT EXISTS (FROM "match".contacts h WHERE h.contact_id = c.contact_id) AS is_free
    FROM itglue.contacts c
    WHERE c.organization_id IN (SELECT organization_id FROM audit_new)
),
phones AS (
    SELECT
        contact_id,
        list(number ORDER BY number) AS phones,
        bool_or((organization_id, right(digits(number), $national)) IN (FROM audit_numbers)) AS is_asked
    FROM itglue.contact_phones JOIN people USING (contact_id)
    GROUP BY contact_id
),
addresses AS (
    SELECT contact_id, list(address ORDER BY address) AS addresses
    FROM itglue.contact_emails
    SEMI JOIN people USING (contact_id)
    GROUP BY contact_id
)
SELECT
    p.organization_id,
    p.contact_id,
    p.first_name,
    p.last_name,
    p.title,
    coalesce(n.phones, []) AS phones,
    coalesce(a.addresses, []) AS addresses,
    p.is_free
FROM people p
LEFT JOIN phones n USING (contact_id)
LEFT JOIN addresses a USING (contact_id)
WHERE p.is_free OR n.is_asked
