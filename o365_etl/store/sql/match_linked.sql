-- The links of earlier syncs into the organization that the tenant is matched with now, and whether their contact is
-- still in it. A link that a decision overruled is none any more; one that stands beside the decision to create a
-- contact is the contact that was created. `u` is the row of the user, so that what follows carries a number instead of
-- two ids; only of one who is not there any more the tenant is named as well.
-- Needs: user_links(tenant_id, user_id, organization_id, contact_id), decided. Parameters: parts, part (one of them at a
-- time, by tenant: all users and all contacts at once do not fit into the memory).
INSERT INTO linked
SELECT
    u.rowid AS u,
    CASE WHEN u.rowid IS NULL THEN l.tenant_id END AS tenant_id,
    l.contact_id,
    coalesce(c.organization_id = l.organization_id, false) AS is_there,
    coalesce(d.action = 'create', false) AS is_created
FROM (FROM user_links WHERE hash(tenant_id) % $parts = $part) l
JOIN "match".organizations m
    ON m.tenant_id = l.tenant_id AND m.organization_id = l.organization_id AND m.status = 'matched'
LEFT JOIN itglue.contacts c USING (contact_id)
LEFT JOIN (SELECT rowid, tenant_id, user_id FROM m365.users WHERE hash(tenant_id) % $parts = $part) u
    ON u.tenant_id = l.tenant_id AND u.user_id = l.user_id
LEFT JOIN decided d ON d.tenant_id = l.tenant_id AND d.user_id = l.user_id
WHERE d.action IS NULL OR d.action IN ('ignore', 'create')
