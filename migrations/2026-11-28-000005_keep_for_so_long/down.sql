DELETE FROM erasures WHERE requested_by IS NULL;
ALTER TABLE erasures DROP CONSTRAINT erasures_reason_check;
ALTER TABLE erasures ALTER COLUMN requested_by SET NOT NULL;
ALTER TABLE erasures DROP COLUMN reason;
REVOKE SELECT (tenant_id, retention_days, retained_on) ON conversation_settings FROM session_sweeper;
GRANT SELECT (tenant_id, assignment) ON conversation_settings TO session_sweeper;
DROP POLICY retention ON conversation_settings;
ALTER TABLE conversation_settings DROP COLUMN retained_on;
ALTER TABLE conversation_settings DROP COLUMN retention_days;
