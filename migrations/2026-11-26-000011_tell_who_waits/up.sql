-- Since when a contact waits, and which of its identities was shown last.

ALTER TABLE contact_identities ADD COLUMN shown_at timestamptz;
COMMENT ON COLUMN contact_identities.shown_at IS 'when Meta last showed it, by Meta''s clock';
ALTER TABLE conversations ADD COLUMN first_inbound_at timestamptz;
ALTER TABLE conversations ADD COLUMN free_since timestamptz;
COMMENT ON COLUMN conversations.first_inbound_at IS 'the earliest message of the contact since the last close';
COMMENT ON COLUMN conversations.free_since IS 'when the last holder gave it away';
COMMENT ON COLUMN conversations.waiting_since IS
    'since when the contact waits for somebody to take it: open, nobody''s, and the contact wrote';
-- Texts stand in conversation_messages alone.
-- squawk-ignore ban-drop-column
ALTER TABLE conversations DROP COLUMN last_message;

-- Of two failures the one that counts depends on what else is known, so both errors are kept.
ALTER TABLE conversation_messages ADD COLUMN undelivered_error jsonb;
ALTER TABLE conversation_messages ADD COLUMN given_up_error jsonb;
COMMENT ON COLUMN conversation_messages.error IS 'the one of the two errors that counts';
