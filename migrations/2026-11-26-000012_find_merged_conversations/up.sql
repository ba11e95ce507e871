-- What became part of a conversation is found by it.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversations_merged ON conversations (tenant_id, merged_into) WHERE merged_into IS NOT NULL;
