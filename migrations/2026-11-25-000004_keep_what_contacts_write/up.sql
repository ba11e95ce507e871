-- What contacts write and what Meta tells of accounts; statuses whose message is not found yet; the
-- app secrets of tenants with a Meta app of their own.

---------------------------------------------------------------------------------------------------
-- Intake

ALTER TABLE webhook_intake ADD COLUMN signed_for varchar(255);
COMMENT ON COLUMN webhook_intake.signed_for IS 'the tenant whose own app secret signed it: it is believed about that tenant alone';
-- The same bytes at another door are another post: nobody can keep Meta's own one out by sending it first.
-- squawk-ignore ban-drop-constraint
ALTER TABLE webhook_intake DROP CONSTRAINT webhook_intake_body_sha256_key;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX webhook_intake_once ON webhook_intake (body_sha256, signed_for) NULLS NOT DISTINCT;
-- squawk-ignore ban-drop-constraint
ALTER TABLE webhook_intake DROP CONSTRAINT webhook_intake_state_check;
ALTER TABLE webhook_intake ADD CONSTRAINT webhook_intake_state CHECK (state IN
    ('pending', 'applied', 'unmatched', 'unreadable', 'unrouted', 'failed')) NOT VALID;
COMMENT ON COLUMN webhook_intake.state IS
    'unrouted: of a number or account that no tenant has; failed: could not be applied; both are kept';

-- Statuses of messages that are not found. Not of a tenant, since nobody knows of which.
CREATE TABLE unmatched_statuses (
    unmatched_id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    signed_for varchar(255),
    phone_number_id varchar(64),
    wamid varchar(255) NOT NULL,
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'quarantined')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
);
COMMENT ON COLUMN unmatched_statuses.payload IS 'the status as Meta sent it; no text of a message';
CREATE INDEX idx_unmatched_statuses_due ON unmatched_statuses (next_attempt_at) WHERE state = 'pending';
GRANT SELECT, INSERT, UPDATE, DELETE ON unmatched_statuses TO outbound_message_service;

-- A second failure of a message with another code is evidence of its own.
-- squawk-ignore ban-drop-constraint
ALTER TABLE message_status_events DROP CONSTRAINT message_status_events_tenant_id_message_id_status_source_wa_key;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX message_status_events_once ON message_status_events
    (tenant_id, message_id, status, source, wamid, (error ->> 'code')) NULLS NOT DISTINCT;

ALTER TABLE sending_numbers ADD COLUMN last_status_at timestamptz;
ALTER TABLE sending_numbers ADD COLUMN last_inbound_at timestamptz;
COMMENT ON COLUMN sending_numbers.last_status_at IS 'of the latest status that was applied, by Meta''s clock';
COMMENT ON COLUMN sending_numbers.last_inbound_at IS 'of the latest message of a contact, by Meta''s clock';

---------------------------------------------------------------------------------------------------
-- Whose number, whose account

CREATE POLICY router ON tenant_whatsapp_numbers FOR SELECT TO webhook_router USING (true);
GRANT SELECT (tenant_id, phone_number_id, config_id, display_phone_number) ON tenant_whatsapp_numbers TO webhook_router;
CREATE POLICY router ON tenant_whatsapp_config FOR SELECT TO webhook_router USING (true);
GRANT SELECT (tenant_id, waba_id, config_id) ON tenant_whatsapp_config TO webhook_router;

---------------------------------------------------------------------------------------------------
-- What contacts wrote

CREATE TABLE inbound_messages (
    inbound_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    phone_number_id varchar(64) NOT NULL,
    wamid varchar(255) NOT NULL,
    origin text NOT NULL DEFAULT 'contact' CHECK (origin IN ('contact', 'phone')),
    conversation_id uuid NOT NULL,
    contact varchar(160) NOT NULL,
    wa_id varchar(32),
    user_id varchar(160),
    profile_name text,
    username text,
    type varchar(64) NOT NULL,
    payload jsonb NOT NULL,
    context_wamid varchar(255),
    refers_to varchar(255),
    media_id varchar(64),
    sent_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    UNIQUE (tenant_id, inbound_id),
    UNIQUE (tenant_id, phone_number_id, wamid)
);
COMMENT ON COLUMN inbound_messages.origin IS 'phone: written by the organization in the app on its phone';
COMMENT ON COLUMN inbound_messages.contact IS 'in the form of messages.recipient; what the conversation is found by';
COMMENT ON COLUMN inbound_messages.payload IS 'the message as Meta sent it';
COMMENT ON COLUMN inbound_messages.refers_to IS 'wamid of what it reacts to, edits or revokes; that may come later or never';
COMMENT ON COLUMN inbound_messages.sent_at IS 'by Meta''s clock';
CREATE INDEX idx_inbound_messages_conversation ON inbound_messages (tenant_id, conversation_id, seq);
CREATE INDEX idx_inbound_messages_wamid ON inbound_messages (tenant_id, wamid);
CREATE INDEX idx_inbound_messages_media ON inbound_messages (tenant_id, media_id) WHERE media_id IS NOT NULL;
ALTER TABLE inbound_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbound_messages FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON inbound_messages
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT ON inbound_messages TO outbound_message_service;

-- Who a business-scoped user id is, as Meta showed it; nothing is ever written over.
CREATE TABLE contact_aliases (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    user_id varchar(160) NOT NULL,
    contact varchar(160) NOT NULL,
    source text NOT NULL CHECK (source IN ('message', 'status', 'number_change', 'user_id_change')),
    previous_user_id varchar(160),
    previous_contact varchar(160),
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id, contact)
);
COMMENT ON COLUMN contact_aliases.contact IS 'the number with its plus, or an older user id; the first one seen is the conversation''s';
ALTER TABLE contact_aliases ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_aliases FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON contact_aliases
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT ON contact_aliases TO outbound_message_service;

CREATE TABLE contact_preferences (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    contact varchar(160) NOT NULL,
    category varchar(64) NOT NULL,
    value varchar(32) NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, contact, category)
);
COMMENT ON COLUMN contact_preferences.value IS 'stop or resume, as the contact chose in WhatsApp';
ALTER TABLE contact_preferences ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_preferences FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON contact_preferences
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE ON contact_preferences TO outbound_message_service;

-- What Meta told of an account, every field, each once.
CREATE TABLE account_notices (
    notice_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    waba_id varchar(64) NOT NULL,
    field varchar(64) NOT NULL,
    digest bytea NOT NULL,
    payload jsonb NOT NULL,
    occurred_at timestamptz,
    received_at timestamptz NOT NULL,
    UNIQUE (tenant_id, notice_id),
    UNIQUE (tenant_id, digest)
);
ALTER TABLE account_notices ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_notices FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON account_notices
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT ON account_notices TO outbound_message_service;

---------------------------------------------------------------------------------------------------
-- Tenants with a Meta app of their own

CREATE TABLE webhook_secrets (
    secret_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    kind text NOT NULL CHECK (kind IN ('app_secret', 'verify_token')),
    secret bytea NOT NULL,
    fingerprint varchar(32) NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT now(),
    retires_at timestamptz,
    created_by text NOT NULL,
    UNIQUE (tenant_id, secret_id)
);
COMMENT ON COLUMN webhook_secrets.secret IS 'sealed by vault, bound to tenant and secret_id';
CREATE INDEX idx_webhook_secrets_tenant ON webhook_secrets (tenant_id, kind);
ALTER TABLE webhook_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON webhook_secrets
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY vault_rotator ON webhook_secrets TO vault_rotator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_secrets TO outbound_message_service;
GRANT SELECT (secret_id, tenant_id, secret), UPDATE (secret) ON webhook_secrets TO vault_rotator;
