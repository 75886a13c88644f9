-- Linked users who may have left, or whose contact bears the mark of one who left: all others need not be looked at,
-- and all at once beside all contacts do not fit into the memory.
-- Needs: user_links(tenant_id, user_id, organization_id, contact_id), plan_tenants. Parameter: mark.
CREATE OR REPLACE TEMP TABLE doubtful AS
FROM user_links
SEMI JOIN plan_tenants USING (tenant_id, organization_id)
ANTI JOIN (FROM m365.users WHERE in_scope) USING (tenant_id, user_id)
UNION
FROM user_links
SEMI JOIN plan_tenants USING (tenant_id, organization_id)
SEMI JOIN (FROM itglue.contacts WHERE contains(notes, $mark)) USING (organization_id, contact_id)
