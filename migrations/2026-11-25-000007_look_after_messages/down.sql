DROP POLICY operator_reads ON outbox_events;
DROP TABLE dead_letters;
DROP INDEX message_status_events_once;
DELETE FROM message_status_events later USING message_status_events first
    WHERE (later.tenant_id, later.message_id, later.status, later.source)
            = (first.tenant_id, first.message_id, first.status, first.source)
        AND later.wamid IS NOT DISTINCT FROM first.wamid
        AND later.error ->> 'code' IS NOT DISTINCT FROM first.error ->> 'code'
        AND later.status_event_id > first.status_event_id;
CREATE UNIQUE INDEX message_status_events_once ON message_status_events
    (tenant_id, message_id, status, source, wamid, (error ->> 'code')) NULLS NOT DISTINCT;
DROP INDEX idx_messages_failed;
ALTER TABLE messages DROP COLUMN discarded_at;
DROP INDEX idx_messages_conversation;
DROP INDEX idx_messages_recipient;
REVOKE SELECT (tenant_id, unknown_horizon_seconds) ON sending_policies FROM delivery_sweeper;
DROP POLICY sweeper ON sending_policies;
