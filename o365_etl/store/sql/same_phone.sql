-- Phone numbers compare by their digits; text without any compares as text.
CREATE OR REPLACE TEMP MACRO same_phone(one, other) AS
    CASE
        WHEN digits(one) <> digits(other) THEN false
        WHEN digits(one) <> '' THEN true
        ELSE comparable(one) = comparable(other)
    END
