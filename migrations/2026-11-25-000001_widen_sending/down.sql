DROP TABLE contact_windows;
DROP TABLE sending_numbers;
DROP TABLE sending_policies;

DELETE FROM message_status_events WHERE status IN ('scheduled', 'played', 'canceled');
ALTER TABLE message_status_events DROP CONSTRAINT message_status_events_status;
ALTER TABLE message_status_events ADD CONSTRAINT message_status_events_status_check CHECK (status IN
    ('accepted', 'unknown', 'sent', 'delivered', 'read', 'failed'));

DROP INDEX idx_messages_scheduled;
ALTER TABLE messages DROP CONSTRAINT messages_send_class;
ALTER TABLE messages DROP CONSTRAINT messages_status;
ALTER TABLE messages DROP CONSTRAINT messages_due;
ALTER TABLE messages DROP CONSTRAINT messages_leased;
ALTER TABLE messages DROP CONSTRAINT messages_unknown_since;
-- What the former release does not know ends here, in the words that it has.
UPDATE messages SET status = 'failed', next_attempt_at = NULL WHERE status IN ('scheduled', 'canceled');
ALTER TABLE messages ADD CONSTRAINT messages_status_check CHECK (status IN
    ('accepted', 'sending', 'retry_wait', 'unknown', 'sent', 'delivered', 'read', 'failed'));
ALTER TABLE messages ADD CONSTRAINT messages_check
    CHECK ((status IN ('accepted', 'retry_wait')) = (next_attempt_at IS NOT NULL));
ALTER TABLE messages ADD CONSTRAINT messages_check1 CHECK ((status = 'sending') = (lease_until IS NOT NULL));
ALTER TABLE messages ADD CONSTRAINT messages_check2 CHECK ((status = 'unknown') = (unknown_since IS NOT NULL));
ALTER TABLE messages DROP COLUMN possible_duplicate;
ALTER TABLE messages DROP COLUMN send_at;
ALTER TABLE messages DROP COLUMN send_class;
ALTER TABLE messages ALTER COLUMN recipient TYPE varchar(32);
