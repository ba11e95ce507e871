DROP INDEX idx_conversations_genesys;
ALTER TABLE conversations DROP COLUMN genesys_routed_at;
DROP TABLE user_presence;
REVOKE SELECT (tenant_id, assignment) ON conversation_settings FROM session_sweeper;
DROP POLICY sweeper ON conversation_settings;
ALTER TABLE conversation_settings DROP COLUMN on_absence;
ALTER TABLE conversation_settings DROP COLUMN default_capacity;
ALTER TABLE conversation_settings DROP COLUMN routing;
ALTER TABLE conversation_settings DROP COLUMN assignment;
