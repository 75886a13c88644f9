-- The organizations in which users of the batch are to find a contact.
-- Needs: pool_users.
CREATE OR REPLACE TEMP TABLE pool_organizations AS SELECT DISTINCT organization_id FROM pool_users
