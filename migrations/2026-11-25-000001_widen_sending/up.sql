-- Sending of every kind: recipients by business-scoped user id, scheduled and canceled messages, two
-- classes of urgency, what a tenant chose for its sending, and what is known of numbers and windows.

---------------------------------------------------------------------------------------------------
-- Messages

-- Only longer: no row is written anew.
-- squawk-ignore changing-column-type
ALTER TABLE messages ALTER COLUMN recipient TYPE varchar(160);
COMMENT ON COLUMN messages.recipient IS 'E.164 with its plus, or a business-scoped user id';
ALTER TABLE messages ADD COLUMN send_class text NOT NULL DEFAULT 'reply';
ALTER TABLE messages ADD COLUMN send_at timestamptz;
ALTER TABLE messages ADD COLUMN possible_duplicate boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN messages.possible_duplicate IS 'sent again after an outcome that stayed unknown';

-- squawk-ignore ban-drop-constraint
ALTER TABLE messages DROP CONSTRAINT messages_status_check;
-- squawk-ignore ban-drop-constraint
ALTER TABLE messages DROP CONSTRAINT messages_check;
-- squawk-ignore ban-drop-constraint
ALTER TABLE messages DROP CONSTRAINT messages_check1;
-- squawk-ignore ban-drop-constraint
ALTER TABLE messages DROP CONSTRAINT messages_check2;
ALTER TABLE messages ADD CONSTRAINT messages_send_class CHECK (send_class IN ('reply', 'bulk')) NOT VALID;
ALTER TABLE messages ADD CONSTRAINT messages_status CHECK (status IN
    ('scheduled', 'accepted', 'sending', 'retry_wait', 'unknown', 'sent', 'delivered', 'read',
     'failed', 'canceled')) NOT VALID;
-- Work waits only for a time that is known, and only work waits.
ALTER TABLE messages ADD CONSTRAINT messages_due
    CHECK ((status IN ('scheduled', 'accepted', 'retry_wait')) = (next_attempt_at IS NOT NULL)) NOT VALID;
ALTER TABLE messages ADD CONSTRAINT messages_leased
    CHECK ((status = 'sending') = (lease_until IS NOT NULL)) NOT VALID;
ALTER TABLE messages ADD CONSTRAINT messages_unknown_since
    CHECK ((status = 'unknown') = (unknown_since IS NOT NULL)) NOT VALID;

-- Outside its lane until it is due: a later message must not wait for it.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_messages_scheduled ON messages (next_attempt_at) WHERE status = 'scheduled';

-- squawk-ignore ban-drop-constraint
ALTER TABLE message_status_events DROP CONSTRAINT message_status_events_status_check;
ALTER TABLE message_status_events ADD CONSTRAINT message_status_events_status CHECK (status IN
    ('scheduled', 'accepted', 'unknown', 'sent', 'delivered', 'read', 'played', 'failed', 'canceled')) NOT VALID;

---------------------------------------------------------------------------------------------------
-- What a tenant chose; no row means the defaults.

CREATE TABLE sending_policies (
    tenant_id varchar(255) PRIMARY KEY REFERENCES tenants,
    window_policy text NOT NULL DEFAULT 'enforce' CHECK (window_policy IN ('enforce', 'meta_decides')),
    unknown_policy text NOT NULL DEFAULT 'at_most_once' CHECK (unknown_policy IN ('at_most_once', 'at_least_once')),
    unknown_horizon_seconds integer CHECK (unknown_horizon_seconds BETWEEN 120 AND 86400),
    treat_5xx_as_unknown boolean NOT NULL DEFAULT false,
    allow_raw boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN sending_policies.window_policy IS 'whether a free-form message outside the customer service window is refused here';
COMMENT ON COLUMN sending_policies.unknown_policy IS 'what becomes of a message whose outcome stays unknown past the horizon';
COMMENT ON COLUMN sending_policies.unknown_horizon_seconds IS 'null is the deployment''s default';
COMMENT ON COLUMN sending_policies.allow_raw IS 'whether types that are not known here are passed through to Meta';
ALTER TABLE sending_policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE sending_policies FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sending_policies
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON sending_policies TO outbound_message_service;

---------------------------------------------------------------------------------------------------
-- What is known of a sending number.

CREATE TABLE sending_numbers (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    phone_number_id varchar(64) NOT NULL,
    -- Since then its inbound messages are seen here: no window then is a closed window.
    tracked_since timestamptz NOT NULL DEFAULT now(),
    messages_per_second integer CHECK (messages_per_second BETWEEN 1 AND 1000),
    quality_rating text,
    messaging_limit text,
    checked_at timestamptz,
    PRIMARY KEY (tenant_id, phone_number_id)
);
COMMENT ON COLUMN sending_numbers.messages_per_second IS 'what Meta reports; null is the default of 80';
ALTER TABLE sending_numbers ENABLE ROW LEVEL SECURITY;
ALTER TABLE sending_numbers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sending_numbers
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON sending_numbers TO outbound_message_service;

---------------------------------------------------------------------------------------------------
-- The customer service window of a contact with a number, by the contact's own last message.

CREATE TABLE contact_windows (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    phone_number_id varchar(64) NOT NULL,
    contact varchar(160) NOT NULL,
    last_inbound_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, phone_number_id, contact)
);
COMMENT ON COLUMN contact_windows.contact IS 'in the form of messages.recipient; a contact known by number and by user id has a row for each';
COMMENT ON COLUMN contact_windows.last_inbound_at IS 'by Meta''s clock';
ALTER TABLE contact_windows ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_windows FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON contact_windows
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_windows TO outbound_message_service;
