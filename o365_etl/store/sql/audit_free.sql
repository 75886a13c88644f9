-- The contacts that nobody has.
CREATE OR REPLACE TEMP TABLE audit_free AS
SELECT contact_id, organization_id
FROM itglue.contacts
ANTI JOIN (SELECT contact_id FROM "match".contacts WHERE contact_id IS NOT NULL) USING (contact_id)
WHERE organization_id IS NOT NULL
