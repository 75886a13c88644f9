-- Both sides of a portion of the matched users with the state of every field, one wide row each. The view compare.contacts
-- shows them field by field: writing seven long rows instead takes as long as everything else together.
-- Needs: due_matches(tenant_id, user_id, contact_id, organization_id), the macros. Parameters: first, last (its rows).
INSERT INTO work.contact_sides BY NAME
WITH matched AS MATERIALIZED (
    SELECT * FROM due_matches WHERE rowid BETWEEN $first AND $last
),
addresses AS (
    SELECT tenant_id, user_id, array_to_string(list_sort(list(address)), ', ') AS addresses
    FROM m365.user_addresses
    SEMI JOIN matched USING (tenant_id, user_id)
    WHERE kind IN ('primary', 'alias', 'upn')
    GROUP BY tenant_id, user_id
),
emails AS (
    SELECT
        contact_id,
        -- The only address is the primary one, marked or not.
        coalesce(min(address) FILTER (is_primary), CASE WHEN count(*) = 1 THEN min(address) END) AS primary_email,
        array_to_string(list_sort(list(address)), ', ') AS addresses
    FROM itglue.contact_emails
    WHERE contact_id IN (SELECT contact_id FROM matched)
    GROUP BY contact_id
),
labelled AS (
    SELECT
        contact_id,
        number,
        is_primary,
        coalesce(regexp_matches(label, 'mobile|cell', 'i'), false) AS is_mobile,
        coalesce(regexp_matches(label, 'fax', 'i'), false) AS is_fax
    FROM itglue.contact_phones
    WHERE contact_id IN (SELECT contact_id FROM matched)
),
phones AS (
    SELECT
        contact_id,
        coalesce(
            min(number) FILTER (is_primary AND NOT is_mobile AND NOT is_fax),
            min(number) FILTER (NOT is_mobile AND NOT is_fax)
        ) AS phone,
        coalesce(min(number) FILTER (is_primary AND is_mobile), min(number) FILTER (is_mobile)) AS mobile_phone,
        -- A choice of one is none, unless it is a fax, which is no phone for a person.
        CASE WHEN count(*) > 1 OR bool_or(is_fax) THEN list(number) END AS numbers
    FROM labelled
    GROUP BY contact_id
),
sides AS MATERIALIZED (
    SELECT
        m.*,
        u.user_principal_name,
        text_value(u.given_name) AS m_first_name,
        text_value(u.surname) AS m_last_name,
        text_value(u.job_title) AS m_title,
        text_value(u.user_principal_name) AS m_primary_email,
        a.addresses AS m_email_addresses,
        text_value(u.business_phone) AS m_phone,
        text_value(u.mobile_phone) AS m_mobile_phone,
        text_value(c.first_name) AS i_first_name,
        text_value(c.last_name) AS i_last_name,
        text_value(c.title) AS i_title,
        e.primary_email AS i_primary_email,
        e.addresses AS i_email_addresses,
        text_value(same_number(p.numbers, u.business_phone, p.phone)) AS i_phone,
        text_value(same_number(p.numbers, u.mobile_phone, p.mobile_phone)) AS i_mobile_phone
    FROM matched m
    JOIN m365.users u ON u.tenant_id = m.tenant_id AND u.user_id = m.user_id
    JOIN itglue.contacts c ON c.contact_id = m.contact_id
    LEFT JOIN addresses a ON a.tenant_id = m.tenant_id AND a.user_id = m.user_id
    LEFT JOIN emails e ON e.contact_id = m.contact_id
    LEFT JOIN phones p ON p.contact_id = m.contact_id
)
SELECT
    *,
    compare_state(m_first_name, i_first_name, comparable(m_first_name) = comparable(i_first_name)) AS s_first_name,
    compare_state(m_last_name, i_last_name, comparable(m_last_name) = comparable(i_last_name)) AS s_last_name,
    compare_state(m_title, i_title, comparable(m_title) = comparable(i_title)) AS s_title,
    compare_state(m_primary_email, i_primary_email, comparable(m_primary_email) = comparable(i_primary_email)) AS s_primary_email,
    compare_state(m_email_addresses, i_email_addresses, comparable(m_email_addresses) = comparable(i_email_addresses)) AS s_email_addresses,
    compare_state(m_phone, i_phone, same_phone(m_phone, i_phone)) AS s_phone,
    compare_state(m_mobile_phone, i_mobile_phone, same_phone(m_mobile_phone, i_mobile_phone)) AS s_mobile_phone
FROM sides
