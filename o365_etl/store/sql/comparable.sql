-- Text as it is compared. Plain ASCII without odd blanks, the mass of all values, is folded by DuckDB itself, to the
-- same result as normalise(), which costs a call into Python. Searching beats every trimming and replacing function.
CREATE OR REPLACE TEMP MACRO comparable(value) AS
    CASE
        WHEN value IS NULL THEN NULL
        WHEN strlen(value) = length(value)
            AND value NOT LIKE '%  %' AND value NOT LIKE ' %' AND value NOT LIKE '% '
            -- What Python calls white space in ASCII besides the blank.
            AND NOT (
                contains(value, chr(9)) OR contains(value, chr(10)) OR contains(value, chr(11))
                OR contains(value, chr(12)) OR contains(value, chr(13)) OR contains(value, chr(28))
                OR contains(value, chr(29)) OR contains(value, chr(30)) OR contains(value, chr(31))
            )
        THEN lower(value)
        ELSE normalise(value)
    END
