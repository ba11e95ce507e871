ALTER TABLE conversations DROP COLUMN genesys_named_at;
