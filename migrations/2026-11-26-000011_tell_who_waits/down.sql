ALTER TABLE conversation_messages DROP COLUMN given_up_error;
ALTER TABLE conversation_messages DROP COLUMN undelivered_error;
ALTER TABLE conversations ADD COLUMN last_message text;
ALTER TABLE conversations DROP COLUMN free_since;
ALTER TABLE conversations DROP COLUMN first_inbound_at;
ALTER TABLE contact_identities DROP COLUMN shown_at;
