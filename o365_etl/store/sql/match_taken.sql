-- Contacts that no rule may give away: decided for or linked to any user (also one out of scope) that still exists or
-- cannot be asked about because his tenant is stale, and what a stale tenant's users had at the last match.
-- Needs: fresh(tenant_id), certain(tenant_id), decided, linked.
CREATE OR REPLACE TEMP TABLE taken AS
WITH held AS (
    SELECT u, tenant_id, contact_id, true AS is_decided FROM decided WHERE contact_id IS NOT NULL
    UNION ALL
    -- The contact that was created on a person's word is his as much as one that a person named.
    SELECT u, tenant_id, contact_id, is_created FROM linked WHERE is_there
)
SELECT contact_id, bool_or(is_decided) AS is_decided
FROM held
WHERE u IS NOT NULL OR tenant_id NOT IN (SELECT tenant_id FROM certain)
GROUP BY contact_id
UNION ALL
SELECT DISTINCT contact_id, false
FROM "match".contacts
WHERE contact_id IS NOT NULL AND tenant_id NOT IN (SELECT tenant_id FROM fresh)
