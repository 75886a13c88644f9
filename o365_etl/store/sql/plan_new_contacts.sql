-- Users who need a contact: those that the match says so of, and everybody in scope of a tenant whose organization is
-- still to be created.
-- Needs: batch_slices(tenant_id, slice), slice_of(user_id), plan_tenants, user_decisions(tenant_id, user_id, action).
WITH wanted AS (
    SELECT m.tenant_id, m.user_id, m.organization_id
    FROM "match".contacts m
    SEMI JOIN batch_slices b ON b.tenant_id = m.tenant_id AND b.slice = slice_of(m.user_id)
    WHERE m.status = 'create'
    UNION ALL
    SELECT u.tenant_id, u.user_id, NULL
    FROM m365.users u
    JOIN plan_tenants t ON t.tenant_id = u.tenant_id AND t.organization_id IS NULL
    ANTI JOIN user_decisions d ON d.tenant_id = u.tenant_id AND d.user_id = u.user_id AND d.action = 'ignore'
    SEMI JOIN batch_slices b ON b.tenant_id = u.tenant_id AND b.slice = slice_of(u.user_id)
    WHERE u.in_scope
)
SELECT
    w.tenant_id,
    w.user_id,
    w.organization_id,
    u.user_principal_name,
    u.display_name,
    u.given_name,
    u.surname,
    u.job_title,
    u.business_phone,
    u.mobile_phone,
    (
        SELECT list(a.address ORDER BY a.address)
        FROM m365.user_addresses a
        WHERE a.tenant_id = w.tenant_id AND a.user_id = w.user_id AND a.kind IN ('primary', 'alias', 'upn')
    ) AS addresses,
    (
        SELECT min(e.contact_id)
        FROM m365.user_addresses a
        JOIN itglue.contact_emails e ON e.address = a.address AND e.organization_id = w.organization_id
        WHERE a.tenant_id = w.tenant_id AND a.user_id = w.user_id AND a.kind IN ('primary', 'alias', 'upn')
          -- A person who says that a contact is to be created knows better.
          AND NOT EXISTS (
              FROM user_decisions d
              WHERE d.tenant_id = w.tenant_id AND d.user_id = w.user_id AND d.action = 'create'
          )
    ) AS taken_by
FROM wanted w
JOIN m365.users u ON u.tenant_id = w.tenant_id AND u.user_id = w.user_id
