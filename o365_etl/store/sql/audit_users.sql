-- The new users, and whoever else of the same organizations has one of their phone numbers: he shows which is a
-- switchboard's. Of those who have the very same phones so many as make a switchboard say what all say.
-- Needs: audit_new, audit_numbers(organization_id, number), digits(). Parameters: national, switchboard.
INSERT INTO audit_users BY NAME
WITH callers AS (
    SELECT tenant_id, user_id, business_phone, mobile_phone
    FROM m365.users
    WHERE right(digits(business_phone), $national) IN (SELECT number FROM audit_numbers)
       OR right(digits(mobile_phone), $national) IN (SELECT number FROM audit_numbers)
),
others AS (
    SELECT m.organization_id, c.*
    FROM callers c
    JOIN "match".contacts m USING (tenant_id, user_id)
    ANTI JOIN audit_new n ON n.tenant_id = c.tenant_id AND n.user_id = c.user_id
    WHERE (m.organization_id, right(digits(c.business_phone), $national)) IN (FROM audit_numbers)
       OR (m.organization_id, right(digits(c.mobile_phone), $national)) IN (FROM audit_numbers)
    QUALIFY row_number() OVER (
        PARTITION BY m.organization_id, c.business_phone, c.mobile_phone ORDER BY c.tenant_id, c.user_id
    ) <= $switchboard
),
addresses AS (
    SELECT tenant_id, user_id, list(address ORDER BY address) AS addresses
    FROM m365.user_addresses
    SEMI JOIN audit_new USING (tenant_id, user_id)
    GROUP BY tenant_id, user_id
)
SELECT n.*, coalesce(a.addresses, []) AS addresses, true AS is_new
FROM audit_new n LEFT JOIN addresses a USING (tenant_id, user_id)
UNION ALL BY NAME
SELECT
    organization_id,
    tenant_id,
    user_id,
    [number for number in [business_phone, mobile_phone] if number IS NOT NULL] AS phones,
    [] AS addresses,
    false AS is_new
FROM others
