-- The contacts of the batch's organizations that nobody has.
-- Needs: pool_organizations, taken.
CREATE OR REPLACE TEMP TABLE pool_contacts AS
SELECT contact_id, organization_id, name_key
FROM itglue.contacts
WHERE organization_id IN (FROM pool_organizations)
  AND contact_id NOT IN (SELECT contact_id FROM taken)
