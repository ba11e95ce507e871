DROP INDEX idx_outbox_events_published;
DROP INDEX idx_messages_tenant_wamid;
ALTER TABLE messages ADD CONSTRAINT messages_tenant_id_wamid_key UNIQUE (tenant_id, wamid);
DROP INDEX idx_conversations_activity;
CREATE INDEX idx_conversations_activity ON conversations (tenant_id, last_activity_at DESC, conversation_id);
DROP INDEX idx_messages_conversation;
CREATE INDEX idx_messages_conversation ON messages (tenant_id, conversation_id, message_id);
DROP INDEX idx_messages_recipient;
CREATE INDEX idx_messages_recipient ON messages (tenant_id, recipient, message_id);
