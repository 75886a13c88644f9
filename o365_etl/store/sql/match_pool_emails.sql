-- The addresses of the contacts that nobody has.
-- Needs: pool_contacts.
CREATE OR REPLACE TEMP TABLE pool_emails AS
SELECT c.contact_id, c.organization_id, e.address
FROM itglue.contact_emails e JOIN pool_contacts c ON c.contact_id = e.contact_id
WHERE e.organization_id IN (SELECT organization_id FROM pool_users)
