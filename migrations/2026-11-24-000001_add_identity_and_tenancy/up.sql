-- Identity and tenancy: what signs people in, what they may do, and who looked after it.

---------------------------------------------------------------------------------------------------
-- Audit: every entry carries the hash of the one before it, in a chain for each tenant and one for
-- the platform. A chain of one's own keeps tenants from waiting for each other and lets a tenant be
-- erased whole.

CREATE TABLE audit_chains (
    -- '' is the platform's chain
    chain varchar(255) PRIMARY KEY,
    seq bigint NOT NULL,
    head bytea NOT NULL
);
COMMENT ON TABLE audit_chains IS 'the end of each chain of the audit log; written by a trigger alone';
ALTER TABLE audit_chains ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_chains FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_chain ON audit_chains TO agent_portal_owner USING (true) WITH CHECK (true);
CREATE POLICY audit_reader ON audit_chains FOR SELECT TO audit_reader USING (true);
GRANT SELECT ON audit_chains TO audit_reader;

ALTER TABLE audit_log ADD COLUMN seq bigint;
ALTER TABLE audit_log ADD COLUMN prev_hash bytea;
ALTER TABLE audit_log ADD COLUMN entry_hash bytea;

-- One field of the text that is hashed: its length in bytes and itself, so that no two entries make the
-- same text. portalctl computes the same in its own words.
CREATE FUNCTION audit_field(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT coalesce(octet_length(value)::text || ':' || value, '-') || ';' $$;

CREATE FUNCTION audit_entry_hash(entry audit_log) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT sha256(
        entry.prev_hash || convert_to(
            audit_field(entry.seq::text)
            || audit_field(entry.audit_id::text)
            || audit_field((extract(epoch FROM entry.occurred_at) * 1000000)::bigint::text)
            || audit_field(entry.service)
            || audit_field(entry.tenant_id)
            || audit_field(entry.actor_kind)
            || audit_field(entry.actor_id)
            || audit_field(entry.action)
            || audit_field(entry.target)
            || audit_field(entry.outcome)
            || audit_field(entry.details::text)
            || audit_field(entry.request_id)
            || audit_field(entry.traceparent),
            'UTF8'
        )
    )
$$;

-- SECURITY DEFINER: services may neither read nor write the chains' ends. The lock on the chain's row
-- holds until the commit, so entries of one chain are committed in their order.
CREATE FUNCTION audit_chain_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
DECLARE
    name varchar(255) := coalesce(NEW.tenant_id, '');
BEGIN
    INSERT INTO audit_chains (chain, seq, head) VALUES (name, 0, '\x'::bytea)
    ON CONFLICT (chain) DO NOTHING;
    SELECT c.seq + 1, c.head INTO NEW.seq, NEW.prev_hash FROM audit_chains c WHERE c.chain = name FOR UPDATE;
    NEW.entry_hash := audit_entry_hash(NEW);
    UPDATE audit_chains SET seq = NEW.seq, head = NEW.entry_hash WHERE chain = name;
    RETURN NEW;
END
$$;

-- Entries from before: the owner sees them only while its own table is open to it.
ALTER TABLE audit_log NO FORCE ROW LEVEL SECURITY;
DO $$
DECLARE
    entry audit_log;
    last_seq bigint;
    last_head bytea;
    name text;
BEGIN
    FOR entry IN SELECT * FROM audit_log ORDER BY occurred_at, audit_id LOOP
        name := coalesce(entry.tenant_id, '');
        INSERT INTO audit_chains (chain, seq, head) VALUES (name, 0, '\x'::bytea) ON CONFLICT (chain) DO NOTHING;
        SELECT seq, head INTO last_seq, last_head FROM audit_chains WHERE chain = name;
        entry.seq := last_seq + 1;
        entry.prev_hash := last_head;
        entry.entry_hash := audit_entry_hash(entry);
        UPDATE audit_log SET seq = entry.seq, prev_hash = entry.prev_hash, entry_hash = entry.entry_hash
        WHERE audit_id = entry.audit_id;
        UPDATE audit_chains SET seq = entry.seq, head = entry.entry_hash WHERE chain = name;
    END LOOP;
END
$$;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE TRIGGER audit_chain_entry BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_chain_entry();
-- squawk-ignore adding-not-nullable-field
ALTER TABLE audit_log ALTER COLUMN seq SET NOT NULL;
-- squawk-ignore adding-not-nullable-field
ALTER TABLE audit_log ALTER COLUMN prev_hash SET NOT NULL;
-- squawk-ignore adding-not-nullable-field
ALTER TABLE audit_log ALTER COLUMN entry_hash SET NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX audit_log_one_chain ON audit_log (tenant_id, seq) NULLS NOT DISTINCT;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_audit_log_time ON audit_log (occurred_at DESC, audit_id);
CREATE POLICY audit_reader ON audit_log FOR SELECT TO audit_reader USING (true);
GRANT SELECT ON audit_log TO audit_reader;

-- portalctl writes as the owner, in the name of the operator.
CREATE POLICY operator ON audit_log FOR INSERT TO agent_portal_owner
    WITH CHECK (service = 'portalctl' AND (tenant_id IS NULL OR tenant_id = app_tenant_id()));
CREATE POLICY operator ON outbox_events FOR INSERT TO agent_portal_owner
    WITH CHECK (tenant_id = app_tenant_id());

---------------------------------------------------------------------------------------------------
-- Signing keys: the next one is published well before it signs.

ALTER TABLE signing_keys ADD COLUMN activates_at timestamptz;
COMMENT ON COLUMN signing_keys.activates_at IS 'from when the next key signs';
-- squawk-ignore ban-drop-constraint
ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_status_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_status_check
    CHECK (status IN ('next', 'active', 'retired') AND (status <> 'next' OR activates_at IS NOT NULL));
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (service) WHERE status = 'next';
CREATE POLICY operator ON signing_keys TO agent_portal_owner USING (true) WITH CHECK (true);

---------------------------------------------------------------------------------------------------
-- Platform administrators

ALTER TABLE platform_admins ADD COLUMN totp_secret bytea;
ALTER TABLE platform_admins ADD COLUMN totp_confirmed_at timestamptz;
ALTER TABLE platform_admins ADD COLUMN totp_last_step bigint;
ALTER TABLE platform_admins ADD COLUMN failed_logins integer NOT NULL DEFAULT 0;
ALTER TABLE platform_admins ADD COLUMN locked_until timestamptz;
COMMENT ON COLUMN platform_admins.totp_secret IS 'sealed by vault, bound to platform and admin_id';
COMMENT ON COLUMN platform_admins.totp_last_step IS 'the time step of the last code that was taken: each works once';
GRANT UPDATE (totp_secret, totp_confirmed_at, totp_last_step, failed_logins, locked_until)
    ON platform_admins TO tenant_service;

CREATE TABLE platform_admin_sessions (
    session_id uuid PRIMARY KEY,
    admin_id uuid NOT NULL REFERENCES platform_admins,
    refresh_token_hash bytea NOT NULL UNIQUE,
    previous_refresh_token_hash bytea,
    rotated_at timestamptz NOT NULL DEFAULT now(),
    user_agent varchar(400),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    idle_expires_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoke_reason text
);
COMMENT ON COLUMN platform_admin_sessions.refresh_token_hash IS 'SHA-256 of 256 random bits';
CREATE INDEX idx_platform_admin_sessions_admin ON platform_admin_sessions (admin_id) WHERE revoked_at IS NULL;
CREATE INDEX idx_platform_admin_sessions_expiry ON platform_admin_sessions (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON platform_admin_sessions TO tenant_service;

---------------------------------------------------------------------------------------------------
-- Tenants: limits, rules of sign-in, schedule of the user sync

ALTER TABLE tenants ADD COLUMN rate_limit integer CHECK (rate_limit BETWEEN 1 AND 1000000);
ALTER TABLE tenants ADD COLUMN allow_trustees boolean NOT NULL DEFAULT false;
ALTER TABLE tenants ADD COLUMN unmapped_role text NOT NULL DEFAULT 'agent'
    CHECK (unmapped_role IN ('none', 'agent', 'supervisor', 'admin'));
ALTER TABLE tenants ADD COLUMN user_sync_minutes integer CHECK (user_sync_minutes BETWEEN 0 AND 10080);
COMMENT ON COLUMN tenants.rate_limit IS 'requests a minute of all its people and keys; NULL is the deployment''s default';
COMMENT ON COLUMN tenants.unmapped_role IS 'the role of people none of whose Genesys roles is in the map; none refuses them';
COMMENT ON COLUMN tenants.user_sync_minutes IS 'between two syncs of its people; 0 is never, NULL the deployment''s default';
GRANT SELECT (tenant_id, status) ON tenants TO agent_portal_service, outbound_message_service;

CREATE TABLE tenant_role_mappings (
    mapping_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    genesys_role varchar(255) NOT NULL CHECK (genesys_role <> ''),
    portal_role text NOT NULL CHECK (portal_role IN ('none', 'agent', 'supervisor', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN tenant_role_mappings.genesys_role IS 'id or name of a Genesys role; compared without regard to case';
CREATE UNIQUE INDEX tenant_role_mappings_one_role ON tenant_role_mappings (tenant_id, lower(genesys_role));
ALTER TABLE tenant_role_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_role_mappings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_role_mappings
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_role_mappings TO tenant_service;

-- Two OAuth clients of a tenant's own: one with client credentials (reads its people), one with the
-- code grant (signs them in). A Genesys client has exactly one grant.
-- squawk-ignore ban-drop-constraint
ALTER TABLE tenant_credentials DROP CONSTRAINT tenant_credentials_kind_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE tenant_credentials ADD CONSTRAINT tenant_credentials_kind_check
    CHECK (kind IN ('genesys', 'genesys_sign_in'));
ALTER TABLE tenant_credentials ADD COLUMN last_error text;
COMMENT ON COLUMN tenant_credentials.last_error IS 'what Genesys said when it was asked last; NULL when it took them';
-- The scheduler of syncs learns which tenants can be synced, and nothing of how.
CREATE POLICY user_sync_scheduler ON tenant_credentials FOR SELECT TO user_sync_scheduler USING (true);
GRANT SELECT (tenant_id, kind) ON tenant_credentials TO user_sync_scheduler;
CREATE POLICY user_sync_scheduler ON tenants FOR SELECT TO user_sync_scheduler USING (true);
GRANT SELECT (tenant_id, status, genesys_org_id, user_sync_minutes) ON tenants TO user_sync_scheduler;

ALTER TABLE tenant_api_keys ADD COLUMN last4 varchar(4) NOT NULL DEFAULT '';
ALTER TABLE tenant_api_keys ADD COLUMN replaced_by uuid;
COMMENT ON COLUMN tenant_api_keys.replaced_by IS 'its successor, while both work';
-- A key is found by its digest before its tenant is known.
CREATE POLICY api_key_directory ON tenant_api_keys FOR SELECT TO api_key_directory USING (true);
GRANT SELECT (key_id, tenant_id, key_hash) ON tenant_api_keys TO api_key_directory;

---------------------------------------------------------------------------------------------------
-- WhatsApp: Meta's Embedded Signup as a sequence that can be continued

ALTER TABLE tenant_whatsapp_config ADD COLUMN pin bytea;
ALTER TABLE tenant_whatsapp_config ADD COLUMN token_expires_at timestamptz;
ALTER TABLE tenant_whatsapp_config ADD COLUMN verified_at timestamptz;
COMMENT ON COLUMN tenant_whatsapp_config.pin IS 'two-step PIN of the number, sealed by vault, bound to tenant and config_id';
ALTER TABLE tenant_whatsapp_numbers ADD COLUMN verified_name varchar(255);

CREATE TABLE whatsapp_signups (
    signup_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'completed', 'abandoned')),
    waba_id varchar(64) NOT NULL,
    phone_number_id varchar(64),
    business_id varchar(64),
    access_token bytea,
    token_expires_at timestamptz,
    pin bytea,
    test_recipient varchar(32),
    lease_until timestamptz,
    steps jsonb NOT NULL DEFAULT '[]',
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, signup_id)
);
COMMENT ON COLUMN whatsapp_signups.access_token IS 'sealed by vault, bound to tenant and signup_id';
COMMENT ON COLUMN whatsapp_signups.pin IS 'sealed by vault, bound to tenant and signup_id';
COMMENT ON COLUMN whatsapp_signups.lease_until IS 'whoever wrote it works on the signup alone until then';
COMMENT ON COLUMN whatsapp_signups.steps IS 'the verdict on each step that was tried';
CREATE UNIQUE INDEX whatsapp_signups_one_open ON whatsapp_signups (tenant_id) WHERE status = 'open';
ALTER TABLE whatsapp_signups ENABLE ROW LEVEL SECURITY;
ALTER TABLE whatsapp_signups FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON whatsapp_signups
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON whatsapp_signups TO tenant_service;

---------------------------------------------------------------------------------------------------
-- People: roles that an administrator gave, who left, syncs

ALTER TABLE genesys_users ADD COLUMN role_override text
    CHECK (role_override IN ('agent', 'supervisor', 'admin'));
ALTER TABLE genesys_users ADD COLUMN role_changed_at timestamptz;
ALTER TABLE genesys_users ADD COLUMN deactivated_at timestamptz;
ALTER TABLE genesys_users ADD COLUMN deactivated_by text CHECK (deactivated_by IN ('admin', 'genesys', 'operator'));
ALTER TABLE genesys_users ADD COLUMN seen_in_run uuid;
COMMENT ON COLUMN genesys_users.role IS 'what the person may do: role_override, or else what Genesys'' roles come down to';
COMMENT ON COLUMN genesys_users.role_override IS 'the role that an administrator of the organization gave';
COMMENT ON COLUMN genesys_users.role_changed_at IS 'access tokens from before it name the wrong role';
COMMENT ON COLUMN genesys_users.seen_in_run IS 'the sync that saw the person last';
-- Whose access tokens name a role from before, to keep the revocation list true.
CREATE POLICY sweeper ON genesys_users FOR SELECT TO session_sweeper
    USING (role_changed_at > now() - interval '1 hour');
GRANT SELECT (tenant_id, user_id, role_changed_at) ON genesys_users TO session_sweeper;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_genesys_users_role_changed ON genesys_users (role_changed_at) WHERE role_changed_at IS NOT NULL;
-- Whether a signed-in person may go on, for the service that cannot ask Redis.
GRANT SELECT (tenant_id, user_id, is_active, role) ON genesys_users TO outbound_message_service;

ALTER TABLE genesys_user_sessions ADD COLUMN genesys_checked_at timestamptz;
COMMENT ON COLUMN genesys_user_sessions.genesys_checked_at IS 'when Genesys last vouched for the person';
ALTER TABLE genesys_user_sessions ADD COLUMN genesys_client_id varchar(255);
ALTER TABLE genesys_user_sessions ADD COLUMN genesys_token_issued_at timestamptz;
ALTER TABLE genesys_user_sessions ADD COLUMN genesys_refresh_began_at timestamptz;
COMMENT ON COLUMN genesys_user_sessions.genesys_client_id IS 'the tenant''s own OAuth client that the tokens belong to; NULL is the deployment''s';
COMMENT ON COLUMN genesys_user_sessions.genesys_refresh_began_at IS 'when the refresh token was sent to Genesys; NULL once its answer is stored';
GRANT SELECT (tenant_id, session_id, user_id, revoked_at, expires_at, idle_expires_at)
    ON genesys_user_sessions TO outbound_message_service;

CREATE TABLE user_sync_runs (
    run_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'failed')),
    cause text NOT NULL CHECK (cause IN ('admin', 'schedule')),
    requested_by text,
    next_page integer NOT NULL DEFAULT 1,
    pages integer,
    total integer,
    created integer NOT NULL DEFAULT 0,
    updated integer NOT NULL DEFAULT 0,
    deactivated integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    error_code text,
    lease_until timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    UNIQUE (tenant_id, run_id),
    CHECK ((status = 'running') = (finished_at IS NULL))
);
COMMENT ON COLUMN user_sync_runs.next_page IS 'where a run that was interrupted goes on';
CREATE UNIQUE INDEX user_sync_runs_one_running ON user_sync_runs (tenant_id) WHERE status = 'running';
CREATE INDEX idx_user_sync_runs_tenant ON user_sync_runs (tenant_id, started_at DESC);
ALTER TABLE user_sync_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_sync_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON user_sync_runs
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY user_sync_scheduler ON user_sync_runs FOR SELECT TO user_sync_scheduler USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON user_sync_runs TO agent_portal_service;
GRANT SELECT (tenant_id, run_id, status, lease_until, started_at) ON user_sync_runs TO user_sync_scheduler;

-- What browsers are told as it happens; kept long enough for one that was away for a moment.
CREATE TABLE live_events (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    event_seq bigint GENERATED ALWAYS AS IDENTITY,
    -- NULL is everybody of the tenant with at least this role
    user_id uuid,
    min_role text NOT NULL DEFAULT 'agent' CHECK (min_role IN ('agent', 'supervisor', 'admin')),
    type varchar(64) NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, event_seq),
    FOREIGN KEY (tenant_id, user_id) REFERENCES genesys_users (tenant_id, user_id)
);
CREATE INDEX idx_live_events_age ON live_events (created_at);
ALTER TABLE live_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE live_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON live_events
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY sweeper ON live_events FOR DELETE TO session_sweeper USING (created_at < now() - interval '10 minutes');
CREATE POLICY sweeper_reads ON live_events FOR SELECT TO session_sweeper USING (created_at < now() - interval '10 minutes');
GRANT SELECT, INSERT ON live_events TO agent_portal_service;
GRANT SELECT (created_at), DELETE ON live_events TO session_sweeper;

---------------------------------------------------------------------------------------------------
-- Vault: one path wraps the data keys of all sealed columns anew. It sees nothing else of a row.

CREATE POLICY vault_rotator ON signing_keys TO vault_rotator USING (true) WITH CHECK (true);
CREATE POLICY vault_rotator ON tenant_whatsapp_config TO vault_rotator USING (true) WITH CHECK (true);
CREATE POLICY vault_rotator ON tenant_credentials TO vault_rotator USING (true) WITH CHECK (true);
CREATE POLICY vault_rotator ON whatsapp_signups TO vault_rotator USING (true) WITH CHECK (true);
CREATE POLICY vault_rotator ON genesys_user_sessions TO vault_rotator USING (true) WITH CHECK (true);
GRANT SELECT (kid, private_key), UPDATE (private_key) ON signing_keys TO vault_rotator;
GRANT SELECT (admin_id, totp_secret), UPDATE (totp_secret) ON platform_admins TO vault_rotator;
GRANT SELECT (config_id, tenant_id, access_token, pin), UPDATE (access_token, pin)
    ON tenant_whatsapp_config TO vault_rotator;
GRANT SELECT (credential_id, tenant_id, client_secret), UPDATE (client_secret) ON tenant_credentials TO vault_rotator;
GRANT SELECT (signup_id, tenant_id, access_token, pin), UPDATE (access_token, pin) ON whatsapp_signups TO vault_rotator;
GRANT SELECT (session_id, tenant_id, genesys_access_token, genesys_refresh_token),
    UPDATE (genesys_access_token, genesys_refresh_token) ON genesys_user_sessions TO vault_rotator;
