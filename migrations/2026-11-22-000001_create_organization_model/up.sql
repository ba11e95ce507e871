-- The organization-level model: one tenant = one Genesys Cloud organization = one WhatsApp Business
-- Account, shared by all its users.

-- The tenant of the running transaction; NULL outside of one, so that nothing matches. After a
-- transaction with a local setting PostgreSQL gives '' and not NULL, hence NULLIF.
CREATE FUNCTION app_tenant_id() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT NULLIF(current_setting('app.tenant_id', true), '') $$;

GRANT SELECT ON __diesel_schema_migrations TO
    tenant_service, agent_portal_service, outbound_message_service;

---------------------------------------------------------------------------------------------------
-- Events: what a transaction has to tell (outbox), what a consumer has seen (inbox).

CREATE TABLE outbox_events (
    event_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    service text NOT NULL,
    tenant_id varchar(255) NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    subject text NOT NULL,
    payload jsonb NOT NULL,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX idx_outbox_events_unpublished ON outbox_events (service, seq) WHERE published_at IS NULL;
CREATE INDEX idx_outbox_events_tenant ON outbox_events (tenant_id, subject);
ALTER TABLE outbox_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON outbox_events
    USING (tenant_id = app_tenant_id() AND service = session_user)
    WITH CHECK (tenant_id = app_tenant_id() AND service = session_user);
CREATE POLICY relay ON outbox_events TO portal_relay
    USING (service = session_user) WITH CHECK (service = session_user);
GRANT SELECT, INSERT ON outbox_events TO tenant_service, agent_portal_service, outbound_message_service;
GRANT SELECT, DELETE ON outbox_events TO portal_relay;
GRANT UPDATE (published_at) ON outbox_events TO portal_relay;

-- One relay a service publishes at a time, so that the events of one subject leave in order.
CREATE TABLE relay_leases (
    service text PRIMARY KEY,
    holder uuid NOT NULL,
    expires_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON relay_leases TO portal_relay;

CREATE TABLE inbox_events (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX idx_inbox_events_received ON inbox_events (received_at);
GRANT SELECT, INSERT, DELETE ON inbox_events TO tenant_service, agent_portal_service, outbound_message_service;

---------------------------------------------------------------------------------------------------
-- Audit: append-only. Rows without a tenant tell of the platform itself, or of somebody who was
-- refused before a tenant was known.

CREATE TABLE audit_log (
    audit_id uuid PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    service text NOT NULL,
    tenant_id varchar(255),
    actor_kind text NOT NULL CHECK (actor_kind IN ('platform_admin', 'user', 'service', 'api_key', 'operator', 'anonymous')),
    actor_id text,
    action text NOT NULL,
    target text,
    outcome text NOT NULL CHECK (outcome IN ('succeeded', 'refused', 'failed')),
    details jsonb NOT NULL DEFAULT '{}',
    request_id text,
    traceparent text
);
CREATE INDEX idx_audit_log_tenant ON audit_log (tenant_id, occurred_at);
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_log FOR SELECT
    USING (tenant_id = app_tenant_id());
CREATE POLICY append ON audit_log FOR INSERT
    WITH CHECK (service = session_user AND (tenant_id IS NULL OR tenant_id = app_tenant_id()));
CREATE POLICY directory ON audit_log FOR SELECT TO tenant_directory USING (true);
GRANT INSERT, SELECT ON audit_log TO tenant_service, agent_portal_service, outbound_message_service;
GRANT SELECT ON audit_log TO tenant_directory;

---------------------------------------------------------------------------------------------------
-- Keys that sign tokens: each service sees only its own.

CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    service text NOT NULL,
    algorithm text NOT NULL CHECK (algorithm IN ('EdDSA')),
    public_key bytea NOT NULL,
    private_key bytea NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
COMMENT ON COLUMN signing_keys.private_key IS 'PKCS#8, sealed by vault';
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (service) WHERE status = 'active';
ALTER TABLE signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE signing_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY own_service ON signing_keys
    USING (service = session_user) WITH CHECK (service = session_user);
GRANT SELECT, INSERT, UPDATE ON signing_keys TO tenant_service, agent_portal_service;

---------------------------------------------------------------------------------------------------
-- tenant-service

CREATE TABLE platform_admins (
    admin_id uuid PRIMARY KEY,
    email varchar(320) NOT NULL,
    name varchar(255) NOT NULL,
    password_hash text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz
);
CREATE UNIQUE INDEX platform_admins_email ON platform_admins (lower(email));
GRANT SELECT ON platform_admins TO tenant_service;
GRANT UPDATE (last_login_at, password_hash) ON platform_admins TO tenant_service;

CREATE TABLE tenants (
    tenant_id varchar(255) PRIMARY KEY CHECK (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_.-]*$'),
    name varchar(255) NOT NULL CHECK (name <> ''),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'deleted')),
    genesys_org_id varchar(255) CHECK (genesys_org_id <> ''),
    genesys_region varchar(64),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CHECK ((status = 'deleted') = (deleted_at IS NOT NULL))
);
CREATE UNIQUE INDEX idx_tenants_genesys_org ON tenants (genesys_org_id);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY directory ON tenants FOR SELECT TO tenant_directory USING (true);
GRANT SELECT, INSERT, UPDATE ON tenants TO tenant_service;
GRANT SELECT ON tenants TO tenant_directory;

CREATE TABLE tenant_whatsapp_config (
    config_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL UNIQUE REFERENCES tenants,
    waba_id varchar(64) NOT NULL UNIQUE,
    business_id varchar(64),
    access_token bytea NOT NULL,
    access_token_last4 varchar(4) NOT NULL,
    access_token_fingerprint varchar(32) NOT NULL,
    token_status text NOT NULL DEFAULT 'unknown' CHECK (token_status IN ('unknown', 'valid', 'invalid')),
    token_error_code bigint,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, config_id)
);
COMMENT ON COLUMN tenant_whatsapp_config.access_token IS 'sealed by vault, bound to tenant and config_id';
ALTER TABLE tenant_whatsapp_config ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_whatsapp_config FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_whatsapp_config
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY directory ON tenant_whatsapp_config FOR SELECT TO tenant_directory USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_whatsapp_config TO tenant_service;
GRANT SELECT (tenant_id, waba_id) ON tenant_whatsapp_config TO tenant_directory;

CREATE TABLE tenant_whatsapp_numbers (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    phone_number_id varchar(64) NOT NULL UNIQUE,
    config_id uuid NOT NULL,
    display_phone_number varchar(32) NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    quality_rating varchar(16),
    messaging_limit varchar(32),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, phone_number_id),
    FOREIGN KEY (tenant_id, config_id) REFERENCES tenant_whatsapp_config (tenant_id, config_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX tenant_whatsapp_numbers_one_default ON tenant_whatsapp_numbers (tenant_id) WHERE is_default;
ALTER TABLE tenant_whatsapp_numbers ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_whatsapp_numbers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_whatsapp_numbers
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_whatsapp_numbers TO tenant_service;

CREATE TABLE tenant_credentials (
    credential_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    kind text NOT NULL CHECK (kind IN ('genesys')),
    region varchar(64) NOT NULL,
    client_id varchar(255) NOT NULL,
    client_secret bytea,
    client_secret_last4 varchar(4),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    UNIQUE (tenant_id, kind)
);
COMMENT ON COLUMN tenant_credentials.client_secret IS 'sealed by vault, bound to tenant and credential_id';
ALTER TABLE tenant_credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_credentials
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_credentials TO tenant_service;

CREATE TABLE tenant_api_keys (
    key_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    name varchar(255) NOT NULL,
    prefix varchar(32) NOT NULL,
    key_hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL DEFAULT '{}',
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON COLUMN tenant_api_keys.key_hash IS 'SHA-256 of 256 random bits';
CREATE INDEX idx_tenant_api_keys_tenant ON tenant_api_keys (tenant_id);
ALTER TABLE tenant_api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_api_keys
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_api_keys TO tenant_service;

---------------------------------------------------------------------------------------------------
-- agent-portal-service

CREATE TABLE genesys_users (
    user_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    genesys_org_id varchar(255) NOT NULL,
    genesys_user_id varchar(255) NOT NULL,
    genesys_email varchar(320),
    name varchar(255) NOT NULL,
    role text NOT NULL DEFAULT 'agent' CHECK (role IN ('agent', 'supervisor', 'admin')),
    is_active boolean NOT NULL DEFAULT true,
    genesys_version bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    UNIQUE (tenant_id, user_id),
    UNIQUE (tenant_id, genesys_user_id)
);
CREATE INDEX idx_genesys_users_tenant ON genesys_users (tenant_id);
CREATE INDEX idx_genesys_users_genesys_id ON genesys_users (genesys_user_id);
ALTER TABLE genesys_users ENABLE ROW LEVEL SECURITY;
ALTER TABLE genesys_users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON genesys_users
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY identity ON genesys_users FOR SELECT TO portal_identity USING (true);
GRANT SELECT, INSERT, UPDATE ON genesys_users TO agent_portal_service;
GRANT SELECT (tenant_id, genesys_user_id) ON genesys_users TO portal_identity;

CREATE TABLE genesys_user_sessions (
    session_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL,
    user_id uuid NOT NULL,
    refresh_token_hash bytea NOT NULL,
    previous_refresh_token_hash bytea,
    generation integer NOT NULL DEFAULT 0,
    rotated_at timestamptz NOT NULL DEFAULT now(),
    genesys_region varchar(64) NOT NULL,
    genesys_access_token bytea,
    genesys_refresh_token bytea,
    genesys_token_expires_at timestamptz,
    user_agent varchar(400),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    idle_expires_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoke_reason text,
    UNIQUE (tenant_id, session_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES genesys_users (tenant_id, user_id)
);
COMMENT ON COLUMN genesys_user_sessions.genesys_access_token IS 'sealed by vault, bound to tenant and session_id';
COMMENT ON COLUMN genesys_user_sessions.genesys_refresh_token IS 'sealed by vault, bound to tenant and session_id';
CREATE INDEX idx_genesys_user_sessions_user ON genesys_user_sessions (tenant_id, user_id) WHERE revoked_at IS NULL;
ALTER TABLE genesys_user_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE genesys_user_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON genesys_user_sessions
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON genesys_user_sessions TO agent_portal_service;
-- Over all tenants, only ids and times of sessions that are over: to end and to forget them.
CREATE INDEX idx_genesys_user_sessions_ended ON genesys_user_sessions (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX idx_genesys_user_sessions_expiry ON genesys_user_sessions (idle_expires_at) WHERE revoked_at IS NULL;
CREATE POLICY sweeper ON genesys_user_sessions FOR SELECT TO session_sweeper
    USING (revoked_at IS NOT NULL OR idle_expires_at < now());
GRANT SELECT (tenant_id, session_id, idle_expires_at, revoked_at) ON genesys_user_sessions TO session_sweeper;

CREATE TABLE conversations (
    conversation_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    phone_number_id varchar(64) NOT NULL,
    wa_id varchar(32) NOT NULL,
    contact_name varchar(255),
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    unread_count integer NOT NULL DEFAULT 0 CHECK (unread_count >= 0),
    last_message text,
    last_activity_at timestamptz NOT NULL DEFAULT now(),
    window_expires_at timestamptz,
    genesys_conversation_id varchar(255),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, conversation_id),
    UNIQUE (tenant_id, phone_number_id, wa_id)
);
CREATE INDEX idx_conversations_activity ON conversations (tenant_id, last_activity_at DESC, conversation_id);
ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversations
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE ON conversations TO agent_portal_service;

CREATE TABLE conversation_assignments (
    assignment_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL,
    conversation_id uuid NOT NULL,
    user_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'released', 'transferred', 'closed')),
    reason text,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK ((status = 'active') = (ended_at IS NULL)),
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, conversation_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES genesys_users (tenant_id, user_id)
);
CREATE UNIQUE INDEX conversation_assignments_one_active
    ON conversation_assignments (tenant_id, conversation_id) WHERE status = 'active';
CREATE INDEX idx_conversation_assignments_user ON conversation_assignments (user_id);
CREATE INDEX idx_conversation_assignments_tenant ON conversation_assignments (tenant_id);
ALTER TABLE conversation_assignments ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_assignments FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversation_assignments
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE ON conversation_assignments TO agent_portal_service;

---------------------------------------------------------------------------------------------------
-- outbound-message-service

CREATE TABLE messages (
    message_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    conversation_id uuid NOT NULL,
    phone_number_id varchar(64) NOT NULL,
    from_number varchar(32) NOT NULL,
    recipient varchar(32) NOT NULL,
    type varchar(32) NOT NULL,
    content jsonb NOT NULL,
    reply_to varchar(255),
    status text NOT NULL CHECK (status IN
        ('accepted', 'sending', 'retry_wait', 'unknown', 'sent', 'delivered', 'read', 'failed')),
    wamid varchar(255),
    attempts integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    hinted_at timestamptz,
    lease_until timestamptz,
    unknown_since timestamptz,
    error jsonb,
    pricing jsonb,
    sent_by_kind text NOT NULL CHECK (sent_by_kind IN ('user', 'api_key', 'service')),
    sent_by text NOT NULL,
    request_id text,
    traceparent text,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, message_id),
    UNIQUE (tenant_id, wamid),
    -- Work waits only for a time that is known, and only work waits.
    CHECK ((status IN ('accepted', 'retry_wait')) = (next_attempt_at IS NOT NULL)),
    CHECK ((status = 'sending') = (lease_until IS NOT NULL)),
    CHECK ((status = 'unknown') = (unknown_since IS NOT NULL))
);
COMMENT ON COLUMN messages.attempts IS 'requests made to Meta';
COMMENT ON COLUMN messages.retries IS 'those of them that count towards giving up';
COMMENT ON COLUMN messages.hinted_at IS 'when a worker was last told; a due message is told of again after a while';
CREATE INDEX idx_messages_lane ON messages (tenant_id, phone_number_id, recipient, seq)
    WHERE status IN ('accepted', 'sending', 'retry_wait');
CREATE INDEX idx_messages_due ON messages (next_attempt_at) WHERE status IN ('accepted', 'retry_wait');
CREATE INDEX idx_messages_leased ON messages (lease_until) WHERE status = 'sending';
CREATE INDEX idx_messages_unknown ON messages (unknown_since) WHERE status = 'unknown';
CREATE INDEX idx_messages_wamid ON messages (wamid) WHERE wamid IS NOT NULL;
ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE messages FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON messages
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY router ON messages FOR SELECT TO webhook_router USING (true);
CREATE POLICY sweeper ON messages FOR SELECT TO delivery_sweeper USING (true);
GRANT SELECT, INSERT, UPDATE ON messages TO outbound_message_service;
GRANT SELECT (message_id, tenant_id, phone_number_id, wamid) ON messages TO webhook_router;
GRANT SELECT (message_id, tenant_id, phone_number_id, seq, status, next_attempt_at, hinted_at, lease_until, unknown_since)
    ON messages TO delivery_sweeper;

-- One row is one HTTP request to Meta, written before the request is made.
CREATE TABLE message_attempts (
    attempt_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL,
    message_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    outcome text CHECK (outcome IN ('accepted', 'not_accepted', 'unknown')),
    error_class text,
    error_code bigint,
    http_status integer,
    wamid varchar(255),
    provider_trace_id text,
    traceparent text,
    UNIQUE (tenant_id, message_id, number),
    CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    FOREIGN KEY (tenant_id, message_id) REFERENCES messages (tenant_id, message_id)
);
ALTER TABLE message_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE message_attempts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON message_attempts
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE ON message_attempts TO outbound_message_service;

-- Everything that was ever said about a message; the status shown is computed from it.
CREATE TABLE message_status_events (
    status_event_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL,
    message_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('accepted', 'unknown', 'sent', 'delivered', 'read', 'failed')),
    source text NOT NULL CHECK (source IN ('api', 'graph', 'webhook', 'policy')),
    changed_status boolean NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    wamid varchar(255),
    error jsonb,
    pricing jsonb,
    UNIQUE NULLS NOT DISTINCT (tenant_id, message_id, status, source, wamid),
    FOREIGN KEY (tenant_id, message_id) REFERENCES messages (tenant_id, message_id)
);
ALTER TABLE message_status_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE message_status_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON message_status_events
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT ON message_status_events TO outbound_message_service;

CREATE TABLE idempotency_keys (
    tenant_id varchar(255) NOT NULL,
    key varchar(255) NOT NULL,
    fingerprint bytea NOT NULL,
    status_code integer NOT NULL,
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idx_idempotency_keys_expiry ON idempotency_keys (tenant_id, expires_at);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON idempotency_keys
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY sweeper ON idempotency_keys FOR DELETE TO delivery_sweeper USING (expires_at < now());
CREATE POLICY sweeper_reads ON idempotency_keys FOR SELECT TO delivery_sweeper USING (expires_at < now());
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO outbound_message_service;
GRANT SELECT (expires_at), DELETE ON idempotency_keys TO delivery_sweeper;

-- A number whose sending waits for somebody (its token is dead, its account is restricted). Waiting
-- costs a message no attempts; one message at a time probes whether the hold is over.
CREATE TABLE sending_holds (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    phone_number_id varchar(64) NOT NULL,
    reason text NOT NULL CHECK (reason IN ('credential', 'account', 'tenant', 'not_configured')),
    error_code bigint,
    probes integer NOT NULL DEFAULT 0,
    since timestamptz NOT NULL DEFAULT now(),
    next_probe_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, phone_number_id)
);
ALTER TABLE sending_holds ENABLE ROW LEVEL SECURITY;
ALTER TABLE sending_holds FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sending_holds
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY sweeper ON sending_holds FOR SELECT TO delivery_sweeper USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON sending_holds TO outbound_message_service;
GRANT SELECT (tenant_id, phone_number_id, next_probe_at) ON sending_holds TO delivery_sweeper;

-- What Meta posted, byte for byte, before anybody reads it. One post may speak of several tenants,
-- so there is no tenant here; only outbound-message-service may look.
CREATE TABLE webhook_intake (
    intake_id uuid PRIMARY KEY,
    body_sha256 bytea NOT NULL UNIQUE,
    body bytea NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'applied', 'unmatched', 'unreadable')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    received_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    traceparent text
);
CREATE INDEX idx_webhook_intake_due ON webhook_intake (next_attempt_at) WHERE state = 'pending';
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_intake TO outbound_message_service;
