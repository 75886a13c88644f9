-- The users of the batch for whom a contact would be created and about whom no person decided, where the organization
-- has a contact that nobody has.
-- Needs: batch(tenant_id), audit_decided(tenant_id, user_id), audit_applied(tenant_id, applied_at), audit_free.
CREATE OR REPLACE TEMP TABLE audit_new AS
SELECT
    m.organization_id,
    m.tenant_id,
    m.user_id,
    u.given_name AS first_name,
    u.surname AS last_name,
    u.display_name,
    u.job_title AS title,
    [number for number in [u.business_phone, u.mobile_phone] if number IS NOT NULL] AS phones
FROM "match".contacts m
JOIN m365.users u ON u.tenant_id = m.tenant_id AND u.user_id = m.user_id
LEFT JOIN audit_applied f ON f.tenant_id = m.tenant_id
WHERE m.status = 'create'
  -- Whoever came after the first apply cannot be somebody whom a contact was kept for before.
  AND (f.applied_at IS NULL OR u.created_at IS NULL OR u.created_at < f.applied_at)
  -- Created on a person's word.
  AND m.rule IS DISTINCT FROM 'decision'
  AND m.tenant_id IN (SELECT tenant_id FROM batch)
  AND NOT EXISTS (FROM audit_decided d WHERE d.tenant_id = m.tenant_id AND d.user_id = m.user_id)
  AND m.organization_id IN (SELECT organization_id FROM audit_free)
