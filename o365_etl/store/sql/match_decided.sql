-- What people decided about users, with where the contact they named is now (NULL: not in IT Glue any more).
-- Needs: user_decisions(tenant_id, user_id, action, contact_id).
CREATE OR REPLACE TEMP TABLE decided AS
SELECT d.tenant_id, d.user_id, d.action, d.contact_id, c.organization_id
FROM user_decisions d LEFT JOIN itglue.contacts c USING (contact_id)
