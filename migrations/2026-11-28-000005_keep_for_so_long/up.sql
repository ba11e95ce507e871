-- An organization may say for how many days messages are kept. What is older goes as contacts are erased:
-- each service its own tables, with a receipt for each part of the work.

ALTER TABLE conversation_settings ADD COLUMN retention_days integer;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE conversation_settings ADD CONSTRAINT conversation_settings_retention_days_check
    CHECK (retention_days BETWEEN 1 AND 3650);
ALTER TABLE conversation_settings ADD COLUMN retained_on date;
COMMENT ON COLUMN conversation_settings.retention_days IS 'messages that are older are erased; NULL: none is';
COMMENT ON COLUMN conversation_settings.retained_on IS 'the day (UTC) on which nothing older was left';
CREATE POLICY retention ON conversation_settings FOR SELECT TO session_sweeper USING (retention_days IS NOT NULL);
GRANT SELECT (tenant_id, retention_days, retained_on) ON conversation_settings TO session_sweeper;

ALTER TABLE erasures ADD COLUMN reason text NOT NULL DEFAULT 'request';
-- squawk-ignore ban-drop-not-null
ALTER TABLE erasures ALTER COLUMN requested_by DROP NOT NULL;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE erasures ADD CONSTRAINT erasures_reason_check
    CHECK (reason IN ('request', 'retention') AND (reason = 'request') = (requested_by IS NOT NULL));
COMMENT ON COLUMN erasures.reason IS
    'request: of a person, about one contact; retention: messages of several contacts that were kept long enough';
