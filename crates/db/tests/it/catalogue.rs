//! The walls between tenants, read from PostgreSQL's own catalogue: a new table without them fails.

use portal_test_harness::{ServiceRole, TestDb};
use portal_vault::places;

/// Tables without a tenant, and why.
const WITHOUT_TENANT: [&str; 9] = [
    "__diesel_schema_migrations",
    "audit_chains",            // ends of the audit log's chains; no service may look
    "inbox_events",            // consumer and event id, no content
    "platform_admin_sessions", // of people of the platform
    "platform_admins",         // people of the platform
    "relay_leases",            // one row a service
    "signing_keys",            // one service's keys; a policy hides the others'
    "unmatched_statuses",      // of messages that nobody knows of yet
    "webhook_intake",          // one post may speak of several tenants; one service reads it
];

/// Functions that run with their owner's rights, and why.
const DEFINERS: [&str; 1] = [
    "audit_chain_entry", // services append to the audit log and cannot touch the ends of its chains
];

/// The paths across tenants, and the operator's own login.
const PATHS: &str = "'portal_relay', 'tenant_directory', 'portal_identity', 'session_sweeper', \
     'webhook_router', 'delivery_sweeper', 'delivery_recorder', 'user_sync_scheduler', 'api_key_directory', \
     'live_feed_watcher', \
     'account_scheduler', 'message_acceptor', \
     'audit_reader', 'vault_rotator', 'agent_portal_owner'";

const SERVICES: &str =
    "ARRAY['tenant_service', 'agent_portal_service', 'outbound_message_service']";

#[test]
fn every_table_has_a_tenant_or_a_reason() {
    let db = TestDb::new();
    let without = db.query(
        "SELECT t.table_name FROM information_schema.tables t \
         WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND NOT EXISTS ( \
             SELECT FROM information_schema.columns c WHERE c.table_schema = 'public' \
             AND c.table_name = t.table_name AND c.column_name = 'tenant_id') \
         ORDER BY 1",
    );
    assert_eq!(without, WITHOUT_TENANT);
}

#[test]
fn every_tenant_table_is_walled() {
    let db = TestDb::new();
    let open = db.query(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' \
           AND a.attname = 'tenant_id' \
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND EXISTS ( \
               SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant_isolation'))",
    );
    assert_eq!(open, [""; 0], "tables without forced row level security");

    let unlisted = db.query(&format!(
        "SELECT p.polrelid::regclass || '.' || p.polname FROM pg_policy p \
         WHERE p.polname NOT IN ('tenant_isolation', 'own_service', 'append') \
           AND NOT (p.polroles <> '{{0}}' AND p.polroles <@ ( \
               SELECT array_agg(oid) FROM pg_roles WHERE rolname IN ({PATHS})))",
    ));
    assert_eq!(
        unlisted, [""; 0],
        "policies that open a table to somebody who is not listed"
    );
}

#[test]
fn foreign_keys_between_tenant_tables_carry_the_tenant() {
    let db = TestDb::new();
    let plain = db.query(
        "SELECT con.conname FROM pg_constraint con WHERE con.contype = 'f' AND NOT EXISTS ( \
             SELECT FROM unnest(con.conkey) k JOIN pg_attribute a \
             ON a.attrelid = con.conrelid AND a.attnum = k WHERE a.attname = 'tenant_id') \
           AND EXISTS (SELECT FROM pg_attribute a WHERE a.attname = 'tenant_id' \
               AND a.attrelid IN (con.conrelid, con.confrelid))",
    );
    assert_eq!(plain, [""; 0]);
}

/// A check of a foreign key is planned once for a connection, perhaps before there are statistics: then
/// such an index looks as good as the key itself, and each check walks all that the tenant has.
#[test]
fn no_index_is_mistaken_for_the_key_of_a_reference() {
    let db = TestDb::new();
    let alike = db.query(
        "WITH referenced AS ( \
             SELECT DISTINCT confrelid, confkey FROM pg_constraint \
             WHERE contype = 'f' AND cardinality(confkey) > 1), \
         indexes AS ( \
             SELECT indexrelid, indrelid, \
                 string_to_array(indkey::text, ' ')::smallint[] AS columns \
             FROM pg_index WHERE indpred IS NULL) \
         SELECT i.indexrelid::regclass::text FROM referenced r JOIN indexes i ON i.indrelid = r.confrelid \
         WHERE i.columns @> r.confkey AND i.columns[1] = ANY (r.confkey) \
           AND NOT i.columns[1:cardinality(r.confkey)] <@ r.confkey",
    );
    assert_eq!(alike, [""; 0]);
}

#[test]
fn no_service_owns_or_bypasses_anything() {
    let db = TestDb::new();
    let owned = db.query(
        "SELECT relname || ' is owned by ' || relowner::regrole FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace \
           AND relowner <> 'agent_portal_owner'::regrole",
    );
    assert_eq!(owned, [""; 0]);
    let strong = db.query(&format!(
        "SELECT rolname FROM pg_roles WHERE (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb \
             OR rolinherit) AND (rolname LIKE '%\\_service' OR rolname IN ({PATHS}))",
    ));
    assert_eq!(strong, [""; 0]);
    let definers = db.query(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace \
           AND EXISTS (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search_path=%')",
    );
    assert_eq!(definers, DEFINERS, "each has a fixed search_path");
    let places = "SELECT DISTINCT c FROM pg_proc, unnest(proconfig) c WHERE prosecdef \
         AND pronamespace = current_schema()::regnamespace";
    assert_eq!(
        db.query(places),
        ["search_path=pg_catalog, public, pg_temp"]
    );
    let elsewhere = TestDb::beside_legacy().query(places);
    assert_eq!(elsewhere, ["search_path=pg_catalog, agent_portal, pg_temp"]);
    let all_definers = db.query(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace",
    );
    assert_eq!(all_definers, DEFINERS);
    let truncates = db.query(&format!(
        "SELECT r || ' ' || relname FROM pg_class, unnest({SERVICES}) r \
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' \
           AND has_table_privilege(r, pg_class.oid, 'TRUNCATE')"
    ));
    assert_eq!(truncates, [""; 0]);
}

#[test]
fn every_table_is_written_by_its_owning_service_alone() {
    let db = TestDb::new();
    let shared = [
        "audit_log",
        // Each service notes its part.
        "erased_messages",
        "erasures",
        "inbox_events",
        "outbox_events",
        "signing_keys",
    ];
    let writers = db.query(&format!(
        "SELECT relname || ':' || string_agg(r, ',') FROM pg_class, unnest({SERVICES}) r \
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' \
           AND (has_table_privilege(r, pg_class.oid, 'INSERT') OR has_table_privilege(r, pg_class.oid, 'DELETE') \
                OR has_any_column_privilege(r, pg_class.oid, 'UPDATE')) \
         GROUP BY relname HAVING count(*) > 1 ORDER BY 1"
    ));
    let tables: Vec<_> = writers.iter().filter_map(|w| w.split(':').next()).collect();
    assert_eq!(tables, shared, "{writers:?}");
}

#[test]
fn the_generated_schema_is_the_databases() {
    let db = TestDb::new();
    let columns = db.query(
        "SELECT c.table_name || '.' || c.column_name || CASE WHEN c.is_nullable = 'YES' THEN '?' ELSE '' END \
         FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
         WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' \
           AND c.table_name <> '__diesel_schema_migrations' ORDER BY 1",
    );
    let mut generated = Vec::new();
    let mut table = "";
    for line in include_str!("../../../db-schema/src/schema.rs")
        .lines()
        .map(str::trim)
    {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with(") {")) {
            table = name;
        } else if let Some((column, kind)) = line.split_once(" -> ").filter(|_| line.ends_with(','))
        {
            let optional = if kind.starts_with("Nullable") {
                "?"
            } else {
                ""
            };
            let column = column.trim_start_matches("r#").trim_end_matches('_');
            generated.push(format!("{table}.{column}{optional}"));
        }
    }
    generated.sort();
    let mut columns = columns;
    columns.sort();
    assert_eq!(generated, columns, "run `make schema`");
}

#[test]
fn migrations_go_down_and_up_again() {
    use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
    use diesel_migrations::MigrationHarness as _;

    let db = TestDb::unmigrated();
    let mut owner = PgConnection::establish(&db.url(ServiceRole::Owner)).unwrap();
    let tables = || {
        db.query(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
        )
    };
    owner
        .run_pending_migrations(portal_db_schema::MIGRATIONS)
        .unwrap();
    let up = tables();
    owner
        .revert_all_migrations(portal_db_schema::MIGRATIONS)
        .unwrap();
    assert_eq!(
        tables(),
        [
            "__diesel_schema_migrations",
            "__diesel_schema_migrations_pkey"
        ],
        "down leaves nothing"
    );
    owner
        .run_pending_migrations(portal_db_schema::MIGRATIONS)
        .unwrap();
    assert_eq!(tables(), up);
    owner.batch_execute("SELECT 1").unwrap();
}

#[test]
fn every_sealed_column_is_a_place_that_rotation_knows() {
    let db = TestDb::new();
    let commented = db.query(
        "SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute a \
         WHERE a.atttypid = 'bytea'::regtype AND a.attnum > 0 AND NOT a.attisdropped \
           AND col_description(a.attrelid, a.attnum) LIKE '%sealed by vault%' ORDER BY 1",
    );
    let mut known: Vec<_> = places::ALL
        .iter()
        .map(|place| format!("{}.{}", place.table, place.column))
        .collect();
    known.sort();
    assert_eq!(commented, known);

    // Rotation is granted exactly these columns, and finds a row by its primary key.
    let writable = db.query(
        "SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute a \
         JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' \
         WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped \
           AND has_column_privilege('vault_rotator', c.oid, a.attnum, 'UPDATE') ORDER BY 1",
    );
    assert_eq!(writable, known);
    for place in places::ALL {
        let key = db.query(&format!(
            "SELECT a.attname || ' ' || format_type(a.atttypid, NULL) FROM pg_index i JOIN pg_attribute a \
             ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
             WHERE i.indrelid = '{}'::regclass AND i.indisprimary",
            place.table
        ));
        let expected = format!("{} {}", place.row_id, place.row_id_type);
        assert_eq!(key, [expected], "{place:?}");
        let of_tenant = db.query(&format!(
            "SELECT count(*) FROM pg_attribute \
             WHERE attrelid = '{}'::regclass AND attname = 'tenant_id'",
            place.table
        ));
        assert_eq!(of_tenant == ["1"], place.is_of_tenant, "{place:?}");
    }
}
