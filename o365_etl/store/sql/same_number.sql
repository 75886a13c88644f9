-- The one of several numbers that is the wanted one, wherever it stands; else what was chosen otherwise. NULL numbers:
-- there is no choice.
CREATE OR REPLACE TEMP MACRO same_number(numbers, wanted, otherwise) AS
    CASE
        WHEN numbers IS NULL OR coalesce(digits(wanted), '') = '' THEN otherwise
        ELSE coalesce([number for number in numbers if digits(number) = digits(wanted)][1], otherwise)
    END
