REVOKE DELETE ON contact_aliases, contact_preferences, dead_letters, outbox_events FROM outbound_message_service;
REVOKE UPDATE (response) ON idempotency_keys FROM outbound_message_service;
REVOKE UPDATE (error) ON message_status_events FROM outbound_message_service;
REVOKE UPDATE (contact, wa_id, user_id, profile_name, username, payload, media_id, erased_at)
    ON inbound_messages FROM outbound_message_service;
REVOKE DELETE ON conversations, conversation_assignments, live_events, outbox_events FROM agent_portal_service;
ALTER TABLE inbound_messages DROP COLUMN erased_at;
ALTER TABLE messages DROP COLUMN erased_at;
DROP TABLE erased_messages;
DROP TABLE erasures;
