-- Acceptances of several tenants are committed together: by a role that may add messages and what
-- belongs to them, and that sees no more than it must to decide whether it may.

CREATE POLICY acceptor ON messages FOR INSERT TO message_acceptor WITH CHECK (true);
GRANT INSERT ON messages TO message_acceptor;

CREATE POLICY acceptor ON outbox_events FOR INSERT TO message_acceptor WITH CHECK (service = session_user);
GRANT INSERT ON outbox_events TO message_acceptor;

CREATE POLICY acceptor_reads ON idempotency_keys FOR SELECT TO message_acceptor USING (true);
CREATE POLICY acceptor_adds ON idempotency_keys FOR INSERT TO message_acceptor WITH CHECK (true);
CREATE POLICY acceptor_forgets ON idempotency_keys FOR DELETE TO message_acceptor USING (expires_at < now());
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO message_acceptor;

CREATE POLICY acceptor ON contact_windows FOR SELECT TO message_acceptor USING (true);
GRANT SELECT (tenant_id, phone_number_id, contact, expires_at) ON contact_windows TO message_acceptor;
CREATE POLICY acceptor ON sending_numbers FOR SELECT TO message_acceptor USING (true);
GRANT SELECT (tenant_id, phone_number_id, tracked_since) ON sending_numbers TO message_acceptor;
CREATE POLICY acceptor ON sending_policies FOR SELECT TO message_acceptor USING (true);
GRANT SELECT (tenant_id, window_policy) ON sending_policies TO message_acceptor;
