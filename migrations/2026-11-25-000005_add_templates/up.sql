-- Message templates of the tenants' accounts as Meta tells of them, and what is known of their tokens.

CREATE TABLE message_templates (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    waba_id varchar(64) NOT NULL,
    name varchar(512) NOT NULL,
    language varchar(32) NOT NULL,
    template_id varchar(64) NOT NULL,
    -- Words of Meta's, in capitals: open sets.
    status varchar(64) NOT NULL,
    category varchar(64) NOT NULL,
    sub_category varchar(64),
    is_named boolean NOT NULL DEFAULT false,
    components jsonb,
    quality varchar(32),
    rejected_reason text,
    status_reason text,
    status_at timestamptz NOT NULL DEFAULT now(),
    heard_at timestamptz NOT NULL DEFAULT now(),
    paused_until timestamptz,
    last_updated timestamptz,
    synced_at timestamptz,
    fetch_due boolean NOT NULL DEFAULT false,
    gone_at timestamptz,
    PRIMARY KEY (tenant_id, waba_id, name, language)
);
COMMENT ON COLUMN message_templates.template_id IS 'Meta''s; another when it is deleted and made again';
COMMENT ON COLUMN message_templates.is_named IS 'whether parameters go by name and not by place';
COMMENT ON COLUMN message_templates.components IS 'as Meta gave them; NULL while only a webhook told of the template';
COMMENT ON COLUMN message_templates.status_at IS 'since when it has the status, by the clock of who said so; older news do not change it';
COMMENT ON COLUMN message_templates.heard_at IS 'when we heard of it last: a listing that was begun before knows less';
COMMENT ON COLUMN message_templates.fetch_due IS 'whether a webhook told that it is to be asked for';
COMMENT ON COLUMN message_templates.gone_at IS 'since when Meta does not have it any more';
ALTER TABLE message_templates ENABLE ROW LEVEL SECURITY;
ALTER TABLE message_templates FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON message_templates
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON message_templates TO outbound_message_service;

-- One row an account: when its templates are read next, and what came of it last.
CREATE TABLE template_syncs (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    waba_id varchar(64) NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    fetch_at timestamptz,
    lease_until timestamptz,
    started_at timestamptz,
    read_so_far integer NOT NULL DEFAULT 0,
    synced_at timestamptz,
    total integer NOT NULL DEFAULT 0,
    created integer NOT NULL DEFAULT 0,
    updated integer NOT NULL DEFAULT 0,
    removed integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    error_class text,
    error_code bigint,
    PRIMARY KEY (tenant_id, waba_id)
);
COMMENT ON COLUMN template_syncs.version IS 'counts changes of the account''s templates: who remembers them looks here';
COMMENT ON COLUMN template_syncs.fetch_at IS 'since when single templates are to be asked for';
COMMENT ON COLUMN template_syncs.synced_at IS 'when all of them were read last; NULL is never';
ALTER TABLE template_syncs ENABLE ROW LEVEL SECURITY;
ALTER TABLE template_syncs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON template_syncs
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON template_syncs TO outbound_message_service;

-- One row an account: whether Meta takes its token, by a question that costs nothing.
CREATE TABLE token_checks (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    waba_id varchar(64) NOT NULL,
    status text NOT NULL DEFAULT 'unknown' CHECK (status IN ('unknown', 'valid', 'invalid')),
    error_code bigint,
    checked_at timestamptz,
    due_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    failures integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, waba_id)
);
ALTER TABLE token_checks ENABLE ROW LEVEL SECURITY;
ALTER TABLE token_checks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON token_checks
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON token_checks TO outbound_message_service;

-- Which accounts are due, of all tenants: ids and times.
CREATE POLICY account_scheduler ON tenants FOR SELECT TO account_scheduler USING (true);
GRANT SELECT (tenant_id, status) ON tenants TO account_scheduler;
CREATE POLICY account_scheduler ON tenant_whatsapp_config FOR SELECT TO account_scheduler USING (true);
GRANT SELECT (tenant_id, waba_id) ON tenant_whatsapp_config TO account_scheduler;
CREATE POLICY account_scheduler ON template_syncs FOR SELECT TO account_scheduler USING (true);
GRANT SELECT (tenant_id, waba_id, due_at, fetch_at, lease_until) ON template_syncs TO account_scheduler;
CREATE POLICY account_scheduler ON token_checks FOR SELECT TO account_scheduler USING (true);
GRANT SELECT (tenant_id, waba_id, checked_at, due_at, lease_until) ON token_checks TO account_scheduler;
-- A hold because of a token makes it worth a try.
CREATE POLICY account_scheduler ON sending_holds FOR SELECT TO account_scheduler USING (true);
GRANT SELECT (tenant_id, reason, since) ON sending_holds TO account_scheduler;
