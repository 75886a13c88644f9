-- What people decided about users, with the row of the user `u` (NULL: not there any more) and where the contact they
-- named is now (NULL: not in IT Glue any more).
-- Needs: user_decisions(tenant_id, user_id, action, contact_id).
CREATE OR REPLACE TEMP TABLE decided AS
SELECT u.rowid AS u, d.tenant_id, d.user_id, d.action, d.contact_id, c.organization_id
FROM user_decisions d
LEFT JOIN m365.users u ON u.tenant_id = d.tenant_id AND u.user_id = d.user_id
LEFT JOIN itglue.contacts c USING (contact_id)
