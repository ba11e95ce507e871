-- Which of several ids of Genesys conversations is the later one, in whatever order they are told.
ALTER TABLE conversations ADD COLUMN genesys_named_at timestamptz;
COMMENT ON COLUMN conversations.genesys_named_at IS 'as of when genesys_conversation_id goes with it';
