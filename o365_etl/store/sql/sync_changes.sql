-- The plan of the last run, each change with its tenant's hash and state, and over it what became of changes. A million
-- changes that stand from one sync to the next need not be written anew for that.
CREATE OR REPLACE VIEW sync.changes AS
SELECT
    p.change_id,
    t.run_id,
    p.tenant_id,
    p.organization_id,
    p.action,
    p.resource,
    p.target_id,
    p.fields,
    CASE WHEN p.state IS NULL THEN p.reason || coalesce(t.why, '') ELSE p.reason END AS reason,
    coalesce(p.state, t.state) AS state,
    p.subject_id,
    t.plan_hash,
    NULL::VARCHAR AS message,
    NULL::TIMESTAMPTZ AS finished_at
FROM (FROM work.planned UNION ALL FROM work.planned_now) p
JOIN work.plans t ON t.tenant_id = coalesce(p.tenant_id, '')
ANTI JOIN work.finished f ON f.change_id = p.change_id
UNION ALL
SELECT * REPLACE (finished_at::TIMESTAMPTZ AS finished_at) FROM work.finished
