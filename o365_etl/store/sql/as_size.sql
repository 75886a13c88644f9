-- The size of a mailbox as a person reads it: "3.2 GB of 50 GB (6 %)"; NULL if the size is not known.
CREATE OR REPLACE TEMP MACRO as_size(used, quota) AS
    CASE
        WHEN used IS NULL THEN NULL
        WHEN quota IS NULL OR quota <= 0 THEN printf('%.1f GB', used / 1073741824)
        ELSE printf('%.1f GB of %.0f GB (%d %%)', used / 1073741824, quota / 1073741824, (100 * used // quota)::INTEGER)
    END
