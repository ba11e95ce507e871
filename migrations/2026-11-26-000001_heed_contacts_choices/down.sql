REVOKE ALL ON contact_preferences FROM message_acceptor;
DROP POLICY acceptor ON contact_preferences;
