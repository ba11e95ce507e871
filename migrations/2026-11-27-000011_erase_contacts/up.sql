-- Contacts are erased on demand, each service its own tables; the receipt tells what was done.

CREATE TABLE erasures (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    erasure_id uuid NOT NULL,
    subject_hash bytea NOT NULL,
    hash_key varchar(64) NOT NULL,
    identities text[] NOT NULL,
    requested_by uuid NOT NULL,
    requested_at timestamptz NOT NULL,
    sent_counts jsonb,
    sent_done_at timestamptz,
    kept_counts jsonb,
    completed_at timestamptz,
    receipt_hash bytea,
    PRIMARY KEY (tenant_id, erasure_id),
    FOREIGN KEY (tenant_id, requested_by) REFERENCES genesys_users (tenant_id, user_id),
    -- What is done keeps nothing that tells whom it was about.
    CHECK ((completed_at IS NULL) OR (identities = '{}' AND sent_done_at IS NOT NULL AND receipt_hash IS NOT NULL))
);
COMMENT ON COLUMN erasures.subject_hash IS 'HMAC of the contact''s first identity, with a key derived from the vault''s key hash_key';
COMMENT ON COLUMN erasures.identities IS 'of the contact, until all is done';
COMMENT ON COLUMN erasures.requested_at IS 'what was written up to here is erased; a later message begins anew';
COMMENT ON COLUMN erasures.sent_done_at IS 'when outbound-message-service was done with its tables';
CREATE UNIQUE INDEX erasures_one_at_a_time ON erasures (tenant_id, subject_hash) WHERE completed_at IS NULL;
ALTER TABLE erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON erasures
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY sweeper ON erasures FOR SELECT TO session_sweeper, delivery_sweeper USING (completed_at IS NULL);
GRANT SELECT, INSERT, UPDATE ON erasures TO agent_portal_service;
GRANT SELECT, UPDATE (sent_counts, sent_done_at) ON erasures TO outbound_message_service;
GRANT SELECT (tenant_id, erasure_id, requested_at, sent_done_at, completed_at) ON erasures
    TO session_sweeper, delivery_sweeper;

-- Messages that were erased: what is still told of them is not to bring them back.
CREATE TABLE erased_messages (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    entry_id uuid NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, entry_id)
);
COMMENT ON COLUMN erased_messages.entry_id IS 'messages.message_id or inbound_messages.inbound_id';
ALTER TABLE erased_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE erased_messages FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON erased_messages
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT ON erased_messages TO agent_portal_service, outbound_message_service;

ALTER TABLE messages ADD COLUMN erased_at timestamptz;
ALTER TABLE inbound_messages ADD COLUMN erased_at timestamptz;
COMMENT ON COLUMN messages.erased_at IS 'when its contact and its content were erased; what bills and idempotency need stays';
COMMENT ON COLUMN inbound_messages.erased_at IS 'when its contact and its content were erased; its wamid stays, so that Meta''s repetition is known';

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_messages_erased ON messages (tenant_id, erased_at) WHERE erased_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_inbound_messages_erased ON inbound_messages (tenant_id, erased_at) WHERE erased_at IS NOT NULL;

GRANT DELETE ON conversations, conversation_assignments, live_events, outbox_events TO agent_portal_service;
GRANT UPDATE (contact, wa_id, user_id, profile_name, username, payload, media_id, erased_at)
    ON inbound_messages TO outbound_message_service;
GRANT UPDATE (response) ON idempotency_keys TO outbound_message_service;
GRANT UPDATE (error) ON message_status_events TO outbound_message_service;
GRANT DELETE ON contact_aliases, contact_preferences, dead_letters, outbox_events TO outbound_message_service;
