-- The Microsoft 365 data of each user with a contact, against the asset that documents it, where the two are not the
-- same text. Keys of the traits stand in the order and in the form of itglue.user_assets.traits; NULL is not known.
-- Needs: batch_slices(tenant_id, slice), slice_of(user_id), plan_tenants, new_contacts(tenant_id, user_id).
WITH people AS (
    SELECT m.tenant_id, m.user_id, m.organization_id, m.contact_id AS tag
    FROM "match".contacts m
    SEMI JOIN batch_slices b ON b.tenant_id = m.tenant_id AND b.slice = slice_of(m.user_id)
    WHERE m.status = 'matched'
      AND m.tenant_id IN (SELECT tenant_id FROM plan_tenants)
    UNION ALL
    SELECT n.tenant_id, n.user_id, t.organization_id, 'user:' || n.user_id
    FROM new_contacts n JOIN plan_tenants t USING (tenant_id)
),
products AS (
    SELECT tenant_id, user_id, array_to_string(list_sort(list(DISTINCT product_name)), ', ') AS licenses
    FROM m365.license_assignments l
    SEMI JOIN batch_slices b ON b.tenant_id = l.tenant_id AND b.slice = slice_of(l.user_id)
    GROUP BY ALL
),
aliases AS (
    SELECT tenant_id, user_id, array_to_string(list_sort(list(address)), ', ') AS aliases
    FROM m365.user_addresses a
    SEMI JOIN batch_slices b ON b.tenant_id = a.tenant_id AND b.slice = slice_of(a.user_id)
    WHERE kind IN ('primary', 'alias')
    GROUP BY ALL
),
boxes AS (
    SELECT DISTINCT ON (tenant_id, user_id) *
    FROM m365.mailboxes m
    SEMI JOIN batch_slices b ON b.tenant_id = m.tenant_id AND b.slice = slice_of(m.user_id)
    WHERE user_id IS NOT NULL AND NOT coalesce(is_deleted, false)
    ORDER BY tenant_id, user_id, user_principal_name
),
assets AS (
    SELECT DISTINCT ON (a.tenant_id, a.user_id) a.*
    FROM itglue.user_assets a
    JOIN plan_tenants t ON t.tenant_id = a.tenant_id AND t.organization_id = a.organization_id
    SEMI JOIN batch_slices b ON b.tenant_id = a.tenant_id AND b.slice = slice_of(a.user_id)
    ORDER BY a.tenant_id, a.user_id, length(a.asset_id), a.asset_id
),
wanted AS (
    SELECT
        p.tenant_id,
        p.user_id,
        p.organization_id,
        p.tag,
        CAST(json_merge_patch('{}', json_object(
            'aliases', as_html(a.aliases),
            'last-activity', strftime(b.last_activity_date, '%Y-%m-%d'),
            'last-sign-in', strftime(u.last_sign_in_at, '%Y-%m-%d'),
            'licenses', as_html(coalesce(l.licenses, 'none')),
            'mailbox-size', as_size(b.storage_used_bytes, b.prohibit_send_quota_bytes),
            'mailbox-type', b.mailbox_type,
            'manage', u.manage_url,
            'sign-in', CASE u.account_enabled WHEN true THEN 'Allowed' WHEN false THEN 'Blocked' END,
            'user-name', u.user_principal_name
        )) AS VARCHAR) AS traits
    FROM people p
    JOIN m365.users u ON u.tenant_id = p.tenant_id AND u.user_id = p.user_id
    LEFT JOIN products l ON l.tenant_id = p.tenant_id AND l.user_id = p.user_id
    LEFT JOIN aliases a ON a.tenant_id = p.tenant_id AND a.user_id = p.user_id
    LEFT JOIN boxes b ON b.tenant_id = p.tenant_id AND b.user_id = p.user_id
)
SELECT
    w.tenant_id,
    w.user_id,
    w.organization_id,
    a.asset_id,
    a.updated_at,
    w.traits AS wanted,
    coalesce(a.traits, '{}') AS found,
    w.tag,
    coalesce(a.contact_ids, '[]') AS tags_found
FROM wanted w
LEFT JOIN assets a ON a.tenant_id = w.tenant_id AND a.user_id = w.user_id
WHERE a.asset_id IS NULL OR a.traits IS DISTINCT FROM w.traits OR a.contact_ids IS DISTINCT FROM '["' || w.tag || '"]'
