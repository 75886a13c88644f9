-- The phone numbers of the new users, as far as the audit compares them: whoever else has one of these counts.
-- Needs: audit_new, digits(). Parameter: national (how many digits from the right).
CREATE OR REPLACE TEMP TABLE audit_numbers AS
SELECT DISTINCT n.organization_id, right(digits(phone), $national) AS number
FROM audit_new n
JOIN m365.users u ON u.tenant_id = n.tenant_id AND u.user_id = n.user_id,
    unnest([u.business_phone, u.mobile_phone]) AS phones(phone)
WHERE digits(phone) <> ''
