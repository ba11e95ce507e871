-- A placeholder stays, as somebody whose id Genesys does not know.
ALTER TABLE genesys_users DROP COLUMN is_placeholder;
COMMENT ON COLUMN genesys_users.genesys_org_id IS NULL;
