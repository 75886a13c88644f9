-- A value as it is shown and compared: nothing but blanks is empty. Most values are NULL or begin with a visible ASCII
-- character; only the rest is looked at closely.
CREATE OR REPLACE TEMP MACRO text_value(value) AS
    CASE
        WHEN value IS NULL OR (value >= '!' AND value < chr(127)) THEN value
        WHEN comparable(value) = '' THEN NULL
        ELSE value
    END
