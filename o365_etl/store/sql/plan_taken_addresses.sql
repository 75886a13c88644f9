-- The contacts of the organization that have an address of a user who needs one.
CREATE OR REPLACE TEMP VIEW taken_addresses AS
SELECT m.tenant_id, m.user_id, e.contact_id, e.address
FROM "match".contacts m
JOIN m365.user_addresses a ON a.tenant_id = m.tenant_id AND a.user_id = m.user_id
JOIN itglue.contact_emails e ON e.address = a.address AND e.organization_id = m.organization_id
WHERE m.status = 'create'
