-- Each user of the batch's tenants, and where his match stands: a row of match.contacts.
-- Needs: batch, decided, linked, settled, rivals.
CREATE OR REPLACE TEMP MACRO match_outcomes() AS TABLE
WITH claims AS (
    SELECT contact_id, count(DISTINCT u) AS users FROM rivals GROUP BY contact_id
),
candidates AS (
    SELECT
        u,
        CAST(to_json(list_sort(list(contact_id))) AS VARCHAR) AS candidates,
        count(*) AS contacts,
        max(users) AS users
    FROM rivals JOIN claims USING (contact_id)
    GROUP BY u
),
people AS (
    SELECT
        u.tenant_id,
        u.user_id,
        u.user_principal_name,
        u.in_scope,
        m.organization_id,
        d.action,
        d.contact_id AS decided_id,
        CASE WHEN d.organization_id = m.organization_id THEN d.contact_id END AS decided_there,
        coalesce(CASE WHEN d.organization_id IS NOT NULL THEN d.contact_id END, CASE WHEN l.is_there THEN l.contact_id END)
            AS kept_id,
        CASE WHEN l.is_there THEN l.contact_id END AS linked_id,
        CASE WHEN NOT l.is_there THEN l.contact_id END AS broken_id,
        s.rule,
        s.seen,
        s.contact_id AS found_id,
        k.candidates,
        k.contacts,
        k.users
    FROM m365.users u
    JOIN (
        SELECT tenant_id, o.organization_id
        FROM batch LEFT JOIN (FROM "match".organizations WHERE status = 'matched') o USING (tenant_id)
    ) m USING (tenant_id)
    LEFT JOIN decided d ON d.u = u.rowid
    LEFT JOIN linked l ON l.u = u.rowid
    LEFT JOIN settled s ON s.u = u.rowid
    LEFT JOIN candidates k ON k.u = u.rowid
),
judged AS (
    SELECT
        *,
        CASE
            WHEN NOT in_scope THEN 'out_of_scope'
            WHEN organization_id IS NULL THEN 'organization_unmatched'
            WHEN action = 'ignore' THEN 'ignored'
            WHEN decided_there IS NOT NULL THEN 'matched'
            -- The person's choice is gone from IT Glue or from this organization: no rule chooses in his place.
            WHEN decided_id IS NOT NULL THEN 'ambiguous'
            -- The contact that was created on a person's word, or that an earlier sync found, is gone.
            WHEN broken_id IS NOT NULL THEN 'ambiguous'
            WHEN action IS NOT NULL AND linked_id IS NOT NULL THEN 'matched'
            WHEN action IS NOT NULL THEN 'create'
            WHEN found_id IS NOT NULL THEN 'matched'
            WHEN rule IS NOT NULL THEN 'ambiguous'
            ELSE 'create'
        END AS status
    FROM people
)
SELECT
    tenant_id,
    user_id,
    user_principal_name,
    organization_id,
    CASE status WHEN 'out_of_scope' THEN kept_id WHEN 'matched' THEN coalesce(decided_there, found_id, linked_id) END AS contact_id,
    status,
    CASE
        WHEN status IN ('out_of_scope', 'organization_unmatched') THEN NULL
        -- Also beside the decision to create: it was carried out, and what came of it is gone.
        WHEN status = 'ambiguous' AND broken_id IS NOT NULL THEN 'link'
        WHEN action IS NOT NULL THEN 'decision'
        ELSE rule
    END AS rule,
    CASE WHEN status = 'ambiguous' THEN candidates END AS candidates,
    CASE
        WHEN status IN ('out_of_scope', 'organization_unmatched') THEN NULL
        WHEN status = 'ambiguous' AND broken_id IS NOT NULL
        THEN CAST(json_object('linked_contact_gone', broken_id) AS VARCHAR)
        WHEN action IS NOT NULL AND status = 'ambiguous'
        THEN CAST(json_object('decided_contact_gone', decided_id) AS VARCHAR)
        WHEN action IS NOT NULL THEN CAST(json_object('action', action) AS VARCHAR)
        WHEN status = 'ambiguous' THEN CAST(json_object('contacts', contacts, 'users', users) AS VARCHAR)
        WHEN rule = 'link' THEN '{"linked":true}'
        WHEN rule = 'full_name' THEN CAST(json_object('name', seen) AS VARCHAR)
        WHEN rule IS NOT NULL THEN CAST(json_object('address', seen) AS VARCHAR)
    END AS evidence
FROM judged
