-- When a tenant's token was looked at, and which warning of its end was given.

ALTER TABLE tenant_whatsapp_config ADD COLUMN token_checked_at timestamptz;
-- 14, 7 or 1.
-- squawk-ignore prefer-bigint-over-smallint
ALTER TABLE tenant_whatsapp_config ADD COLUMN token_warned_days smallint;
COMMENT ON COLUMN tenant_whatsapp_config.token_checked_at IS 'when somebody took on to look at the token last';
COMMENT ON COLUMN tenant_whatsapp_config.token_warned_days IS 'the last warning of its end: so many days ahead';
-- The directory finds the tokens that are due to be looked at.
GRANT SELECT (token_checked_at) ON tenant_whatsapp_config TO tenant_directory;
