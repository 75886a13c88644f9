-- The links of earlier syncs whose contact is still in IT Glue, with the organization it is in. A link that a decision
-- overruled is none any more.
-- Needs: user_links(tenant_id, user_id, contact_id), decided.
CREATE OR REPLACE TEMP TABLE linked AS
SELECT l.tenant_id, l.user_id, l.contact_id, c.organization_id
FROM user_links l
JOIN itglue.contacts c USING (contact_id)
WHERE NOT EXISTS (
    FROM decided d WHERE d.tenant_id = l.tenant_id AND d.user_id = l.user_id AND d.action <> 'ignore'
)
