-- The roles of Agent Portal. Run as a superuser against the target database, once per cluster and
-- database; running it again changes nothing:
--
--   psql -v ON_ERROR_STOP=1 -d whatsapp_genesys -f deploy/postgres/roles.sql
--
-- Passwords are not set here: give each login role one with ALTER ROLE ... PASSWORD, or use
-- certificates. Services own nothing, inherit nothing and cannot bypass row level security.
-- A cross-tenant role is entered with SET LOCAL ROLE for one transaction.

DO $$
DECLARE
    login_role text;
    path_role text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agent_portal_owner') THEN
        CREATE ROLE agent_portal_owner LOGIN NOINHERIT NOBYPASSRLS;
    END IF;
    -- portalctl knows a lock that somebody holds by the message: its driver drops the code.
    IF NOT EXISTS (SELECT FROM pg_roles
                   WHERE rolname = 'agent_portal_owner' AND 'lc_messages=C' = ANY (rolconfig)) THEN
        ALTER ROLE agent_portal_owner SET lc_messages = 'C';
    END IF;

    FOREACH login_role IN ARRAY ARRAY['tenant_service', 'agent_portal_service', 'outbound_message_service'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login_role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT NOBYPASSRLS', login_role);
        END IF;
    END LOOP;

    FOREACH path_role IN ARRAY ARRAY[
        'portal_relay',       -- publishes outbox rows of all tenants
        'tenant_directory',   -- finds and lists tenants
        'portal_identity',    -- tells whether a Genesys user is known in another tenant
        'session_sweeper',    -- finds sessions that are over, of all tenants
        'webhook_router',     -- finds the tenant of a message that Meta reports on
        'delivery_sweeper',   -- finds messages that are due, of all tenants
        'message_acceptor',   -- writes accepted messages of several tenants
        'delivery_recorder',  -- records what Meta answered, for messages of all tenants
        'user_sync_scheduler', -- finds tenants whose people are to be synced
        'live_feed_watcher',  -- finds tenants whose live events have no number yet
        'account_scheduler',  -- finds WhatsApp accounts whose templates or token are to be looked at
        'api_key_directory',  -- finds the tenant of an API key by its digest
        'audit_reader',       -- reads the audit log of all tenants, to verify it
        'vault_rotator'       -- wraps the data keys of sealed columns anew
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = path_role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT NOBYPASSRLS', path_role);
        END IF;
    END LOOP;
END
$$;

GRANT portal_relay TO tenant_service, agent_portal_service, outbound_message_service;
GRANT tenant_directory, api_key_directory TO tenant_service;
GRANT portal_identity, session_sweeper, user_sync_scheduler, live_feed_watcher TO agent_portal_service;
GRANT webhook_router, delivery_sweeper, delivery_recorder, message_acceptor, account_scheduler TO outbound_message_service;
-- portalctl logs in as the owner.
GRANT audit_reader, vault_rotator, tenant_directory, webhook_router TO agent_portal_owner;

-- In a database that holds a legacy installation's tables, or those of other services, everybody keeps what
-- they may: those services work on. Run this file again when the tables are gone.
DO $$
DECLARE
    paths CONSTANT text := 'tenant_service, agent_portal_service, outbound_message_service, '
        'portal_relay, tenant_directory, portal_identity, session_sweeper, webhook_router, delivery_sweeper, '
        'delivery_recorder, message_acceptor, user_sync_scheduler, live_feed_watcher, account_scheduler, '
        'api_key_directory, audit_reader, vault_rotator';
    place text;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
            AND left(c.relname, 2) <> '__' AND c.relowner <> 'agent_portal_owner'::regrole
            AND NOT EXISTS (
                SELECT FROM pg_depend e
                WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'
            )
    ) AND to_regclass('public.agents') IS NULL THEN
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY, CREATE ON DATABASE %I TO agent_portal_owner', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO tenant_service, agent_portal_service, outbound_message_service',
        current_database()
    );
    -- Beside legacy tables the organization-level model is in a schema of its own.
    FOR place IN SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 'agent_portal') LOOP
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO agent_portal_owner', place);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', place, paths);
    END LOOP;
END
$$;
