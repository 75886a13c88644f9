-- The digits of a phone number.
CREATE OR REPLACE TEMP MACRO digits(value) AS regexp_replace(value, '[^0-9]+', '', 'g')
