DROP POLICY account_scheduler ON tenant_whatsapp_config;
REVOKE ALL (tenant_id, waba_id) ON tenant_whatsapp_config FROM account_scheduler;
DROP POLICY account_scheduler ON sending_holds;
REVOKE ALL (tenant_id, reason, since) ON sending_holds FROM account_scheduler;
DROP POLICY account_scheduler ON tenants;
REVOKE ALL (tenant_id, status) ON tenants FROM account_scheduler;
DROP TABLE token_checks;
DROP TABLE template_syncs;
DROP TABLE message_templates;
