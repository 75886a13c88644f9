-- The new users, and whoever else of the same organizations has one of their phone numbers: he shows which is a
-- switchboard's.
-- Needs: audit_new, audit_numbers(organization_id, number), digits(). Parameter: national.
WITH people AS MATERIALIZED (
    SELECT m.tenant_id, m.user_id, m.organization_id, n.user_id IS NOT NULL AS is_new
    FROM "match".contacts m
    LEFT JOIN audit_new n ON n.tenant_id = m.tenant_id AND n.user_id = m.user_id
    WHERE m.organization_id IN (SELECT organization_id FROM audit_new)
),
addresses AS (
    SELECT tenant_id, user_id, list(address ORDER BY address) AS addresses
    FROM m365.user_addresses
    SEMI JOIN audit_new USING (tenant_id, user_id)
    GROUP BY tenant_id, user_id
)
SELECT
    p.organization_id,
    p.tenant_id,
    p.user_id,
    u.given_name AS first_name,
    u.surname AS last_name,
    u.display_name,
    u.job_title AS title,
    [number for number in [u.business_phone, u.mobile_phone] if number IS NOT NULL] AS phones,
    coalesce(a.addresses, []) AS addresses,
    p.is_new
FROM people p
JOIN m365.users u ON u.tenant_id = p.tenant_id AND u.user_id = p.user_id
LEFT JOIN addresses a ON a.tenant_id = p.tenant_id AND a.user_id = p.user_id
WHERE p.is_new
  OR (p.organization_id, right(digits(u.business_phone), $national)) IN (FROM audit_numbers)
  OR (p.organization_id, right(digits(u.mobile_phone), $national)) IN (FROM audit_numbers)
