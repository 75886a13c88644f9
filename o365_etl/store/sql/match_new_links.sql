-- What this match found out about who is who, where no link says so yet.
-- Needs: fresh, user_links.
SELECT m.tenant_id, m.user_id, m.organization_id, m.contact_id, m.rule
FROM "match".contacts m
ANTI JOIN user_links l
    ON l.tenant_id = m.tenant_id AND l.user_id = m.user_id
    AND l.organization_id = m.organization_id AND l.contact_id = m.contact_id
-- Rule link found what a link says.
WHERE m.status = 'matched' AND m.rule <> 'link' AND m.tenant_id IN (SELECT tenant_id FROM fresh)
