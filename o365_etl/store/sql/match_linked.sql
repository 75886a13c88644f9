-- The links of earlier syncs into the organization that the tenant is matched with now, and whether their contact is
-- still in it. A link that a decision overruled is none any more; one that stands beside the decision to create a contact
-- is the contact that was created.
-- Needs: user_links(tenant_id, user_id, organization_id, contact_id), decided.
CREATE OR REPLACE TEMP TABLE linked AS
SELECT
    l.tenant_id,
    l.user_id,
    l.contact_id,
    l.organization_id,
    coalesce(c.organization_id = l.organization_id, false) AS is_there
FROM user_links l
JOIN "match".organizations m
    ON m.tenant_id = l.tenant_id AND m.organization_id = l.organization_id AND m.status = 'matched'
LEFT JOIN itglue.contacts c USING (contact_id)
WHERE NOT EXISTS (
    FROM decided d
    WHERE d.tenant_id = l.tenant_id AND d.user_id = l.user_id AND d.action NOT IN ('ignore', 'create')
)
