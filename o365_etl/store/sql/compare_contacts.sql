-- Every matched user against his contact, field by field, out of the wide rows that compare_contact_sides.sql writes.
-- Crossing them with the names of the fields is cheaper than seven selects or a list of seven structures per user.
CREATE OR REPLACE VIEW compare.contacts AS
SELECT
    tenant_id,
    user_id,
    field,
    user_principal_name,
    organization_id,
    contact_id,
    CASE field
        WHEN 'first_name' THEN m_first_name
        WHEN 'last_name' THEN m_last_name
        WHEN 'title' THEN m_title
        WHEN 'primary_email' THEN m_primary_email
        WHEN 'email_addresses' THEN m_email_addresses
        WHEN 'phone' THEN m_phone
        WHEN 'mobile_phone' THEN m_mobile_phone
    END AS m365_value,
    CASE field
        WHEN 'first_name' THEN i_first_name
        WHEN 'last_name' THEN i_last_name
        WHEN 'title' THEN i_title
        WHEN 'primary_email' THEN i_primary_email
        WHEN 'email_addresses' THEN i_email_addresses
        WHEN 'phone' THEN i_phone
        WHEN 'mobile_phone' THEN i_mobile_phone
    END AS itglue_value,
    CASE field
        WHEN 'first_name' THEN s_first_name
        WHEN 'last_name' THEN s_last_name
        WHEN 'title' THEN s_title
        WHEN 'primary_email' THEN s_primary_email
        WHEN 'email_addresses' THEN s_email_addresses
        WHEN 'phone' THEN s_phone
        WHEN 'mobile_phone' THEN s_mobile_phone
    END AS state
FROM work.contact_sides
CROSS JOIN (
    VALUES ('first_name'), ('last_name'), ('title'), ('primary_email'), ('email_addresses'), ('phone'), ('mobile_phone')
) names(field)
