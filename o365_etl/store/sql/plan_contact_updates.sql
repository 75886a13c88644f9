-- Matched users whose contact differs in a field that is ours to write. A field counts where Microsoft 365 owns it and
-- says otherwise, or where IT Glue has nothing and may be filled; e-mail lists only where an address is missing.
-- Needs: batch_slices(tenant_id, slice), slice_of(user_id), plan_tenants, owners (one row: field → owner).
SELECT s.*, c.sync_owner
FROM (
    FROM work.contact_sides c
    SEMI JOIN batch_slices b ON b.tenant_id = c.tenant_id AND b.slice = slice_of(c.user_id)
) s
JOIN itglue.contacts c USING (contact_id)
CROSS JOIN owners o
WHERE (
    (o.first_name = 'microsoft' AND s_first_name IN ('different', 'only_m365'))
    OR (o.first_name = 'fill_blank' AND s_first_name = 'only_m365')
    OR (o.last_name = 'microsoft' AND s_last_name IN ('different', 'only_m365'))
    OR (o.last_name = 'fill_blank' AND s_last_name = 'only_m365')
    OR (o.title = 'microsoft' AND s_title IN ('different', 'only_m365'))
    OR (o.title = 'fill_blank' AND s_title = 'only_m365')
    OR (o.phone = 'microsoft' AND s_phone IN ('different', 'only_m365'))
    OR (o.phone = 'fill_blank' AND s_phone = 'only_m365')
    OR (o.mobile_phone = 'microsoft' AND s_mobile_phone IN ('different', 'only_m365'))
    OR (o.mobile_phone = 'fill_blank' AND s_mobile_phone = 'only_m365')
    OR (o.primary_email = 'microsoft' AND s_primary_email IN ('different', 'only_m365'))
    OR (o.primary_email = 'fill_blank' AND s_primary_email = 'only_m365')
    OR (o.email_addresses <> 'itglue' AND s_email_addresses = 'only_m365')
    OR (
        o.email_addresses = 'microsoft' AND s_email_addresses = 'different'
        AND NOT list_has_all(string_split(i_email_addresses, ', '), string_split(m_email_addresses, ', '))
    )
  )
