-- Checks of foreign keys look for (tenant_id, message_id). An index that begins with the tenant and holds
-- the message's id later looks as good to a planner without statistics, and then each check walks the
-- tenant's messages. These lists begin with what tells most apart instead, or hold a part of the rows.

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX idx_messages_recipient;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_messages_recipient ON messages (recipient, tenant_id, message_id);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX idx_messages_conversation;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_messages_conversation ON messages (conversation_id, tenant_id, message_id);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX idx_conversations_activity;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversations_activity ON conversations
    (tenant_id, last_activity_at DESC, conversation_id DESC) WHERE merged_into IS NULL;

-- A message that is accepted has no id of Meta yet, and need not be in an index of those.
-- squawk-ignore ban-drop-constraint
ALTER TABLE messages DROP CONSTRAINT messages_tenant_id_wamid_key;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX idx_messages_tenant_wamid ON messages (tenant_id, wamid) WHERE wamid IS NOT NULL;

-- What was published long ago is forgotten every few seconds, which must not read all that is there.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_outbox_events_published ON outbox_events (published_at) WHERE published_at IS NOT NULL;
