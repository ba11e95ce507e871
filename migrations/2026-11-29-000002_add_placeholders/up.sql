-- People whom a migration brought from a legacy installation, which did not know their ids at Genesys: each has
-- a row, which what they did points to, until the first sign-in with the same e-mail makes it theirs.

ALTER TABLE genesys_users ADD COLUMN is_placeholder boolean NOT NULL DEFAULT false;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE genesys_users ADD CONSTRAINT genesys_users_placeholder_check
    CHECK (NOT is_placeholder OR genesys_user_id LIKE 'legacy:%');
COMMENT ON COLUMN genesys_users.is_placeholder IS
    'waits for the first sign-in of the person with this e-mail; genesys_user_id is legacy: and the key there';
COMMENT ON COLUMN genesys_users.genesys_org_id IS 'empty as long as nobody has told it';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_genesys_users_placeholder ON genesys_users (tenant_id, lower(genesys_email)) WHERE is_placeholder;
