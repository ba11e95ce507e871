-- What those who look after messages need: lists, dead letters, and a message's way.

---------------------------------------------------------------------------------------------------
-- The sweeper gives a message up after its tenant's horizon.

CREATE POLICY sweeper ON sending_policies FOR SELECT TO delivery_sweeper USING (true);
GRANT SELECT (tenant_id, unknown_horizon_seconds) ON sending_policies TO delivery_sweeper;

---------------------------------------------------------------------------------------------------
-- Lists. Ids of messages are UUIDs of version 7: their order is that of acceptance.

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_messages_recipient ON messages (tenant_id, recipient, message_id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_messages_conversation ON messages (tenant_id, conversation_id, message_id);

---------------------------------------------------------------------------------------------------
-- Dead letters: messages that failed, and deliveries of the broker that no handler took. A failed
-- message is one by its status; only that somebody put it aside is noted.

ALTER TABLE messages ADD COLUMN discarded_at timestamptz;
COMMENT ON COLUMN messages.discarded_at IS 'when an administrator put the failed message aside';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_messages_failed ON messages (tenant_id, message_id) WHERE status = 'failed';

-- A message that is sent again is accepted again, and may fail again in the same way: only what Meta
-- tells of one copy is told once.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX message_status_events_once;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX message_status_events_once ON message_status_events
    (tenant_id, message_id, status, source, wamid, (error ->> 'code')) NULLS NOT DISTINCT
    WHERE wamid IS NOT NULL;

CREATE TABLE dead_letters (
    dead_letter_id uuid PRIMARY KEY,
    tenant_id varchar(255) REFERENCES tenants,
    queue text NOT NULL,
    routing_key text NOT NULL,
    broker_message_id text,
    message_id uuid,
    body bytea NOT NULL,
    headers jsonb NOT NULL,
    error text NOT NULL,
    traceparent text,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'discarded')),
    received_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CHECK ((state = 'open') = (settled_at IS NULL))
);
COMMENT ON TABLE dead_letters IS 'deliveries of the broker that no handler took';
COMMENT ON COLUMN dead_letters.tenant_id IS 'null where the delivery names none that exists: the operator''s';
COMMENT ON COLUMN dead_letters.message_id IS 'the message that the delivery names, if it names one';
-- A letter that is kept again before the broker has heard of it is one letter.
CREATE UNIQUE INDEX dead_letters_once ON dead_letters (tenant_id, queue, sha256(body)) NULLS NOT DISTINCT
    WHERE state = 'open';
CREATE INDEX idx_dead_letters_tenant ON dead_letters (tenant_id, dead_letter_id);
CREATE INDEX idx_dead_letters_settled ON dead_letters (settled_at) WHERE state <> 'open';
ALTER TABLE dead_letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE dead_letters FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON dead_letters
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY append ON dead_letters FOR INSERT WITH CHECK (tenant_id IS NULL);
CREATE POLICY operator ON dead_letters TO agent_portal_owner USING (tenant_id IS NULL);
CREATE POLICY sweeper_counts ON dead_letters FOR SELECT TO delivery_sweeper USING (true);
CREATE POLICY sweeper_forgets ON dead_letters FOR DELETE TO delivery_sweeper USING (state <> 'open');
GRANT SELECT, INSERT, UPDATE ON dead_letters TO outbound_message_service;
GRANT SELECT (state, received_at, settled_at), DELETE ON dead_letters TO delivery_sweeper;

---------------------------------------------------------------------------------------------------
-- A message's way, told to the operator.

CREATE POLICY operator_reads ON outbox_events FOR SELECT TO agent_portal_owner
    USING (tenant_id = app_tenant_id());
