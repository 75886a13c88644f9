-- Linked users who left: gone from a complete read, converted to shared, disabled, or without any license. Whoever is
-- out of scope for another reason (a guest, a room, the selection) did not leave. A contact that somebody else has by
-- now says nothing about the one who had it.
-- Needs: doubtful.
CREATE OR REPLACE TEMP TABLE left_users AS
SELECT
    l.tenant_id,
    l.user_id,
    l.organization_id,
    l.contact_id,
    c.sync_owner,
    c.notes,
    c.contact_type,
    CASE
        WHEN u.user_id IS NULL THEN 'gone'
        WHEN u.in_scope THEN NULL
        WHEN b.mailbox_type = 'shared' THEN 'shared'
        WHEN u.account_enabled = false THEN 'disabled'
        WHEN u.out_of_scope_reason = 'unlicensed' AND NOT u.is_licensed THEN 'unlicensed'
    END AS state
FROM doubtful l
JOIN itglue.contacts c ON c.contact_id = l.contact_id AND c.organization_id = l.organization_id
LEFT JOIN m365.users u ON u.tenant_id = l.tenant_id AND u.user_id = l.user_id
LEFT JOIN (
    SELECT DISTINCT tenant_id, user_id, mailbox_type FROM m365.mailboxes WHERE mailbox_type = 'shared'
) b ON b.tenant_id = l.tenant_id AND b.user_id = l.user_id
