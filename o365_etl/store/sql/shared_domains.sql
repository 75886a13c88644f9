-- Which verified domains each fresh tenant has in common with the e-mails of each organization's contacts; neither
-- Microsoft's own nor those of public mail providers.
-- Needs: fresh(tenant_id), public_mail_domains(domain).
WITH domains AS (
    SELECT tenant_id, domain
    FROM m365.domains
    WHERE is_verified
      AND tenant_id IN (SELECT tenant_id FROM fresh)
      AND domain NOT IN (SELECT domain FROM public_mail_domains)
      AND NOT regexp_matches(domain, '\.(onmicrosoft\.(com|us)|partner\.onmschina\.cn)$')
),
known AS (
    SELECT DISTINCT organization_id, split_part(address, '@', -1) AS domain
    FROM itglue.contact_emails
    WHERE organization_id IS NOT NULL AND contains(address, '@')
)
SELECT tenant_id, organization_id, count(*) AS shared_domains, list_sort(list(domain))[:5] AS domains
FROM domains JOIN known USING (domain)
GROUP BY ALL
