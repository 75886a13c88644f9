-- How many addresses of its members (neither guests nor otherMails, which may be the service provider's own) each
-- tenant of the batch has in common with each organization's contacts.
-- Needs: batch(tenant_id).
WITH addresses AS (
    SELECT a.tenant_id, a.address
    FROM m365.user_addresses a
    JOIN m365.users u ON u.tenant_id = a.tenant_id AND u.user_id = a.user_id
    WHERE a.kind IN ('primary', 'alias', 'upn')
      AND NOT u.is_guest
      AND a.tenant_id IN (SELECT tenant_id FROM batch)
      AND u.tenant_id IN (SELECT tenant_id FROM batch)
)
SELECT a.tenant_id, e.organization_id, count(DISTINCT a.address) AS shared_addresses
FROM addresses a
JOIN itglue.contact_emails e USING (address)
WHERE e.organization_id IS NOT NULL
GROUP BY ALL
