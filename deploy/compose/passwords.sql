-- Gives the login roles of deploy/postgres/roles.sql their passwords, from the environment.
\getenv owner OWNER_DATABASE_PASSWORD
\getenv tenant TENANT_DATABASE_PASSWORD
\getenv portal AGENT_PORTAL_DATABASE_PASSWORD
\getenv outbound OUTBOUND_DATABASE_PASSWORD
ALTER ROLE agent_portal_owner PASSWORD :'owner';
ALTER ROLE tenant_service PASSWORD :'tenant';
ALTER ROLE agent_portal_service PASSWORD :'portal';
ALTER ROLE outbound_message_service PASSWORD :'outbound';
