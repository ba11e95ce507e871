ALTER TABLE tenant_whatsapp_config DROP COLUMN token_warned_days;
ALTER TABLE tenant_whatsapp_config DROP COLUMN token_checked_at;
