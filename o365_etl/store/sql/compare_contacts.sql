-- Every matched user against his contact, field by field. Crossing the wide rows with the names of the fields is cheaper
-- than seven selects or a list of seven structures per user.
-- Needs: contact_sides, the macros.
INSERT INTO compare.contacts BY NAME
WITH fields AS (
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
        END AS m,
        CASE field
            WHEN 'first_name' THEN i_first_name
            WHEN 'last_name' THEN i_last_name
            WHEN 'title' THEN i_title
            WHEN 'primary_email' THEN i_primary_email
            WHEN 'email_addresses' THEN i_email_addresses
            WHEN 'phone' THEN i_phone
            WHEN 'mobile_phone' THEN i_mobile_phone
        END AS i
    FROM contact_sides
    CROSS JOIN (
        VALUES ('first_name'), ('last_name'), ('title'), ('primary_email'), ('email_addresses'), ('phone'), ('mobile_phone')
    ) names(field)
)
SELECT
    * EXCLUDE (m, i),
    m AS m365_value,
    i AS itglue_value,
    CASE
        WHEN field IN ('phone', 'mobile_phone') THEN compare_state(m, i, same_phone(m, i))
        ELSE compare_state(m, i, comparable(m) = comparable(i))
    END AS state
FROM fields
