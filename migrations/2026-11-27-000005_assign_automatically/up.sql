-- Who gets a conversation that waits: presence and capacity of people, and by whose rules it goes.

ALTER TABLE conversation_settings ADD COLUMN assignment text NOT NULL DEFAULT 'manual'
    CHECK (assignment IN ('manual', 'automatic'));
ALTER TABLE conversation_settings ADD COLUMN routing text NOT NULL DEFAULT 'portal'
    CHECK (routing IN ('portal', 'genesys'));
ALTER TABLE conversation_settings ADD COLUMN default_capacity integer NOT NULL DEFAULT 5
    CHECK (default_capacity BETWEEN 0 AND 1000);
ALTER TABLE conversation_settings ADD COLUMN on_absence text NOT NULL DEFAULT 'return_unanswered'
    CHECK (on_absence IN ('keep', 'return_unanswered', 'return_all'));
COMMENT ON COLUMN conversation_settings.assignment IS
    'whether people take what waits, or a rule gives it to those who are available';
COMMENT ON COLUMN conversation_settings.routing IS
    'who is the master of assignments: people and rules here, or Genesys'' routing';
COMMENT ON COLUMN conversation_settings.default_capacity IS
    'up to how many open conversations the rule gives to a person without a capacity of their own';
COMMENT ON COLUMN conversation_settings.on_absence IS
    'what becomes of the conversations of somebody who goes away, where assignment is automatic';
CREATE POLICY sweeper ON conversation_settings FOR SELECT TO session_sweeper USING (assignment = 'automatic');
GRANT SELECT (tenant_id, assignment) ON conversation_settings TO session_sweeper;

CREATE TABLE user_presence (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    user_id uuid NOT NULL,
    presence text NOT NULL DEFAULT 'offline' CHECK (presence IN ('available', 'busy', 'away', 'offline')),
    since timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz,
    capacity integer CHECK (capacity BETWEEN 0 AND 1000),
    last_given_at timestamptz,
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES genesys_users (tenant_id, user_id)
);
COMMENT ON COLUMN user_presence.presence IS 'what the person said last; it holds while seen_at is fresh and a session lives';
COMMENT ON COLUMN user_presence.seen_at IS 'when the person, or the person''s browser, said so last';
COMMENT ON COLUMN user_presence.capacity IS 'NULL is conversation_settings.default_capacity';
COMMENT ON COLUMN user_presence.last_given_at IS 'when the rule gave the person a conversation last: of two who hold as many, who waits longer is next';
ALTER TABLE user_presence ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_presence FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON user_presence
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON user_presence TO agent_portal_service;

ALTER TABLE conversations ADD COLUMN genesys_routed_at timestamptz;
COMMENT ON COLUMN conversations.genesys_routed_at IS
    'by Genesys'' clock: what its routing told of the conversation before is old';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversations_genesys ON conversations (tenant_id, genesys_conversation_id)
    WHERE genesys_conversation_id IS NOT NULL;
