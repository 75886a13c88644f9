-- Contacts that no rule may give away: decided for or linked to any user (also one out of scope) that still exists or
-- cannot be asked about because his tenant is stale, and what a stale tenant's users had at the last match.
-- Needs: fresh(tenant_id), certain(tenant_id), decided, linked.
CREATE OR REPLACE TEMP TABLE taken AS
WITH held AS (
    SELECT tenant_id, user_id, contact_id, true AS is_decided FROM decided WHERE contact_id IS NOT NULL
    UNION ALL
    -- The contact that was created on a person's word is his as much as one that a person named.
    SELECT l.tenant_id, l.user_id, l.contact_id, coalesce(d.action = 'create', false)
    FROM linked l
    LEFT JOIN decided d ON d.tenant_id = l.tenant_id AND d.user_id = l.user_id
    WHERE l.is_there
)
SELECT h.contact_id, bool_or(h.is_decided) AS is_decided
FROM held h
LEFT JOIN m365.users u ON u.tenant_id = h.tenant_id AND u.user_id = h.user_id
WHERE u.user_id IS NOT NULL OR h.tenant_id NOT IN (SELECT tenant_id FROM certain)
GROUP BY h.contact_id
UNION ALL
SELECT DISTINCT contact_id, false
FROM "match".contacts
WHERE contact_id IS NOT NULL AND tenant_id NOT IN (SELECT tenant_id FROM fresh)
