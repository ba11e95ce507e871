-- Marketing to contacts who stopped it is refused in the transaction that accepts messages.

CREATE POLICY acceptor ON contact_preferences FOR SELECT TO message_acceptor USING (true);
GRANT SELECT (tenant_id, contact, category, value) ON contact_preferences TO message_acceptor;
