-- How two values compare; NULL is empty. `same` is asked only where both are there and not identical.
CREATE OR REPLACE TEMP MACRO compare_state(m365_value, itglue_value, same) AS
    CASE
        WHEN m365_value IS NULL AND itglue_value IS NULL THEN 'equal'
        WHEN itglue_value IS NULL THEN 'only_m365'
        WHEN m365_value IS NULL THEN 'only_itglue'
        WHEN m365_value = itglue_value THEN 'equal'
        WHEN same THEN 'equal'
        ELSE 'different'
    END
