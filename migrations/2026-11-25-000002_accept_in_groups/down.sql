REVOKE ALL ON messages, outbox_events, idempotency_keys, contact_windows, sending_numbers, sending_policies
    FROM message_acceptor;
DROP POLICY acceptor ON sending_policies;
DROP POLICY acceptor ON sending_numbers;
DROP POLICY acceptor ON contact_windows;
DROP POLICY acceptor_forgets ON idempotency_keys;
DROP POLICY acceptor_adds ON idempotency_keys;
DROP POLICY acceptor_reads ON idempotency_keys;
DROP POLICY acceptor ON outbox_events;
DROP POLICY acceptor ON messages;
