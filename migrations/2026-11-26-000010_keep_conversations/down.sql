DROP TABLE conversation_settings;
DROP TABLE conversation_actions;
DROP TABLE conversation_messages;
DROP SEQUENCE conversation_message_seq;
DROP TABLE conversation_threads;
DROP INDEX idx_conversation_assignments_history;
ALTER TABLE conversation_assignments DROP COLUMN episode;
ALTER TABLE conversation_assignments DROP COLUMN end_reason;
ALTER TABLE conversation_assignments DROP COLUMN cause;
ALTER TABLE conversation_assignments DROP COLUMN ended_by;
ALTER TABLE conversation_assignments DROP COLUMN assigned_by;
ALTER TABLE conversations DROP CONSTRAINT conversations_merged;
ALTER TABLE conversations DROP CONSTRAINT conversations_holder;
DROP INDEX idx_conversations_waiting;
DROP INDEX idx_conversations_holder;
DROP INDEX conversations_one_a_contact;
ALTER TABLE conversations DROP COLUMN merged_into;
ALTER TABLE conversations DROP COLUMN episode;
ALTER TABLE conversations DROP COLUMN closed_at;
ALTER TABLE conversations DROP COLUMN waiting_since;
ALTER TABLE conversations DROP COLUMN assigned_at;
ALTER TABLE conversations DROP COLUMN assigned_to;
ALTER TABLE conversations DROP COLUMN last_inbound_at;
ALTER TABLE conversations DROP COLUMN last_message_id;
ALTER TABLE conversations DROP COLUMN user_id;
ALTER TABLE conversations DROP COLUMN contact;
-- What the former release has no place for: conversations without a number, and a second one of a number.
UPDATE conversations SET wa_id = left(conversation_id::text, 32) WHERE wa_id IS NULL OR EXISTS (
    SELECT FROM conversations o WHERE o.tenant_id = conversations.tenant_id
      AND o.phone_number_id = conversations.phone_number_id AND o.wa_id = conversations.wa_id
      AND o.conversation_id < conversations.conversation_id);
-- squawk-ignore adding-not-nullable-field
ALTER TABLE conversations ALTER COLUMN wa_id SET NOT NULL;
-- squawk-ignore disallowed-unique-constraint
ALTER TABLE conversations ADD CONSTRAINT conversations_tenant_id_phone_number_id_wa_id_key
    UNIQUE (tenant_id, phone_number_id, wa_id);
DROP TABLE contact_links;
DROP TABLE contact_identities;
