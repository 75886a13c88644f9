-- A value as it is shown and compared: nothing but blanks is empty. Most values begin with a visible ASCII character.
CREATE OR REPLACE TEMP MACRO text_value(value) AS
    CASE
        WHEN value >= '!' AND value < chr(127) THEN value
        WHEN comparable(value) = '' THEN NULL
        ELSE value
    END
