DROP POLICY recorder ON sending_holds;
REVOKE ALL ON sending_holds FROM delivery_recorder;
DROP POLICY recorder ON outbox_events;
REVOKE ALL ON outbox_events FROM delivery_recorder;
DROP POLICY recorder ON message_status_events;
REVOKE ALL ON message_status_events FROM delivery_recorder;
DROP POLICY recorder ON message_attempts;
REVOKE ALL ON message_attempts FROM delivery_recorder;
DROP POLICY recorder ON messages;
REVOKE ALL ON messages FROM delivery_recorder;
DROP POLICY sweeper ON sending_numbers;
REVOKE ALL ON sending_numbers FROM delivery_sweeper;
REVOKE SELECT (expires_at, send_class) ON messages FROM delivery_sweeper;

DELETE FROM sending_holds WHERE reason IN ('payment', 'quality');
ALTER TABLE sending_holds DROP CONSTRAINT sending_holds_reason;
ALTER TABLE sending_holds ADD CONSTRAINT sending_holds_reason_check
    CHECK (reason IN ('credential', 'account', 'tenant', 'not_configured'));

UPDATE sending_numbers SET tracked_since = now() WHERE tracked_since IS NULL;
ALTER TABLE sending_numbers ALTER COLUMN tracked_since SET NOT NULL;

REVOKE USAGE ON SEQUENCE messages_seq_seq FROM outbound_message_service;
ALTER TABLE messages ALTER COLUMN seq SET GENERATED ALWAYS;

CREATE INDEX idx_messages_due ON messages (next_attempt_at) WHERE status IN ('accepted', 'retry_wait');
DROP INDEX idx_messages_expiring;
DROP INDEX idx_messages_lane_in_flight;
DROP INDEX idx_messages_turn;
