DROP TABLE webhook_secrets;
DROP TABLE account_notices;
DROP TABLE contact_preferences;
DROP TABLE contact_aliases;
DROP TABLE inbound_messages;

DROP POLICY router ON tenant_whatsapp_config;
REVOKE SELECT (tenant_id, waba_id, config_id) ON tenant_whatsapp_config FROM webhook_router;
DROP POLICY router ON tenant_whatsapp_numbers;
REVOKE SELECT (tenant_id, phone_number_id, config_id, display_phone_number) ON tenant_whatsapp_numbers FROM webhook_router;

ALTER TABLE sending_numbers DROP COLUMN last_inbound_at;
ALTER TABLE sending_numbers DROP COLUMN last_status_at;

-- The former release keeps one failure of a kind.
DELETE FROM message_status_events later USING message_status_events earlier
    WHERE later.tenant_id = earlier.tenant_id AND later.message_id = earlier.message_id
      AND later.status = earlier.status AND later.source = earlier.source
      AND later.wamid IS NOT DISTINCT FROM earlier.wamid
      AND later.status_event_id > earlier.status_event_id;
DROP INDEX message_status_events_once;
ALTER TABLE message_status_events ADD CONSTRAINT message_status_events_tenant_id_message_id_status_source_wa_key
    UNIQUE NULLS NOT DISTINCT (tenant_id, message_id, status, source, wamid);

DROP TABLE unmatched_statuses;

UPDATE webhook_intake SET state = 'unmatched' WHERE state IN ('unrouted', 'failed');
ALTER TABLE webhook_intake DROP CONSTRAINT webhook_intake_state;
ALTER TABLE webhook_intake ADD CONSTRAINT webhook_intake_state_check CHECK (state IN
    ('pending', 'applied', 'unmatched', 'unreadable'));
DELETE FROM webhook_intake later USING webhook_intake earlier
    WHERE later.body_sha256 = earlier.body_sha256 AND later.intake_id > earlier.intake_id;
DROP INDEX webhook_intake_once;
ALTER TABLE webhook_intake ADD CONSTRAINT webhook_intake_body_sha256_key UNIQUE (body_sha256);
ALTER TABLE webhook_intake DROP COLUMN signed_for;
