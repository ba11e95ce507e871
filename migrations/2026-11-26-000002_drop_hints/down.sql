ALTER TABLE messages ADD COLUMN hinted_at timestamptz;
COMMENT ON COLUMN messages.hinted_at IS 'when a worker was last told; a due message is told of again after a while';
GRANT SELECT (hinted_at) ON messages TO delivery_sweeper;
