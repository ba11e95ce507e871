//! `portalctl db inspect`: what a legacy schema is and what is in it, in words that can be compared.

use std::{path::PathBuf, process::Command};

use portal_test_harness::TestDb;
use serde_json::Value;

use crate::{portalctl, stderr};

/// What the fixture has none of and an installation may have, and definitions that PostgreSQL writes
/// otherwise after they were restored.
pub(crate) const MORE: &str = "
    CREATE TYPE mood AS ENUM ('calm', 'cross');
    CREATE DOMAIN short AS varchar(20) DEFAULT 'x' CHECK (VALUE IN ('x', 'y'));
    ALTER TABLE agents ADD dropped int, ADD mood mood DEFAULT 'calm', ADD nick short,
        ADD loud text GENERATED ALWAYS AS (upper(name)) STORED,
        ADD CONSTRAINT agents_name_check CHECK (name NOT IN ('', '-') AND email IN (email, 'it''s'));
    ALTER TABLE agents DROP COLUMN dropped;
    ALTER TABLE tenants ADD CHECK (status IN ('active', 'suspended', 'a, ]'));
    CREATE INDEX agents_active ON agents (lower(email)) WHERE name IN ('a', 'b') AND is_active;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.created_at := now(); RETURN NEW; END$$;
    CREATE TRIGGER agents_touch BEFORE UPDATE ON agents FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE FUNCTION __tool() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
    CREATE VIEW active_agents AS SELECT a.*, t.name AS tenant FROM agents a JOIN tenants t USING (tenant_id)
        WHERE a.is_active AND t.status IN ('active', 'paused');
    CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
    CREATE TABLE visits (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, span interval,
        cost float8, raw bytea, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO visits (at, span, cost, raw) SELECT '2026-02-01'::timestamptz + n * interval '1 hour',
        n * interval '26 hours', n / 3.0, decode('00ff', 'hex') FROM generate_series(1, 50) n;
    ALTER TABLE conversation_mappings ENABLE ROW LEVEL SECURITY;
    CREATE POLICY open ON conversation_mappings FOR SELECT TO agent_portal_owner USING (status IN ('active', 'x'));
    GRANT UPDATE (name) ON agents TO tenant_service;
    REVOKE EXECUTE ON FUNCTION touch() FROM public;
    COMMENT ON COLUMN agents.name IS 'as Genesys writes it';
    CREATE TABLE x (x int); INSERT INTO x VALUES (1), (1), (NULL);
    CREATE STATISTICS agents_stats ON tenant_id, name FROM agents;
    GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA public TO agent_portal_owner;";

pub(crate) fn legacy_with_more() -> TestDb {
    let db = TestDb::unmigrated();
    db.execute(include_str!("fixtures/legacy_whatsapp_genesys.sql"));
    db.execute(MORE);
    db
}

/// The fingerprint, and the hash of all data.
pub(crate) fn hashes(url: &str) -> (String, String) {
    let output = portalctl(url, &["db", "inspect", "--hash", "--json"]);
    let answer: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    (
        word(&answer["fingerprint"]),
        word(&answer["data"]["overall"]),
    )
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_restored_dump_has_the_same_fingerprint_and_the_same_hash() {
    let db = legacy_with_more();
    let before = hashes(&db.superuser_url());
    let dump: PathBuf = std::env::temp_dir().join(format!("portalctl-dump-{}", std::process::id()));
    let path = dump.to_str().unwrap();
    run("pg_dump", &["-Fc", "-f", path, &db.superuser_url()]);
    let copy = TestDb::unmigrated();
    // Its own settings make no difference.
    copy.execute(
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German''', current_database());
         EXECUTE format('ALTER DATABASE %I SET IntervalStyle = ''iso_8601''', current_database());
         EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database());
         EXECUTE format('ALTER DATABASE %I SET search_path = pg_catalog', current_database()); END$$",
    );
    let restore = ["--clean", "--if-exists", "--exit-on-error", "-d"];
    let url = copy.superuser_url();
    run(
        "pg_restore",
        &[&restore[..], &[url.as_str(), path]].concat(),
    );
    std::fs::remove_file(&dump).unwrap();
    assert_eq!(hashes(&url), before);
}

#[test]
fn every_change_of_the_catalog_changes_the_fingerprint_and_nothing_else_does() {
    let db = legacy_with_more();
    let (mut fingerprint, data) = hashes(&db.superuser_url());
    for change in [
        "ALTER TABLE agents ALTER name DROP NOT NULL",
        "ALTER TABLE agents ALTER is_active SET DEFAULT false",
        "ALTER TABLE message_tracking ALTER status TYPE varchar(21)",
        "ALTER TABLE message_tracking ALTER status SET STORAGE MAIN",
        "ALTER TABLE message_tracking RENAME status TO state",
        "ALTER TABLE tenants DROP CONSTRAINT tenants_status_check",
        "ALTER TABLE agents RENAME CONSTRAINT agents_name_check TO agents_named",
        "DROP INDEX agents_active",
        "CREATE INDEX ON agents (name)",
        "DROP TRIGGER agents_touch ON agents",
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$",
        "GRANT EXECUTE ON FUNCTION touch() TO agent_portal_owner",
        "ALTER SEQUENCE message_tracking_id_seq INCREMENT 2",
        "CREATE OR REPLACE VIEW active_agents AS SELECT a.*, t.name AS tenant FROM agents a \
            JOIN tenants t USING (tenant_id)",
        "DROP POLICY open ON conversation_mappings",
        "ALTER TABLE conversation_mappings DISABLE ROW LEVEL SECURITY",
        "REVOKE SELECT ON agents FROM agent_portal_owner",
        "REVOKE UPDATE (name) ON agents FROM tenant_service",
        "ALTER TYPE mood ADD VALUE 'bored'",
        "ALTER TABLE x OWNER TO agent_portal_owner",
        "COMMENT ON COLUMN agents.name IS 'another'",
        "CREATE EXTENSION citext",
        "DROP STATISTICS agents_stats",
        "CREATE TABLE one_more ()",
    ] {
        db.execute(change);
        let (now, _) = hashes(&db.superuser_url());
        assert_ne!(now, fingerprint, "{change}");
        fingerprint = now;
    }
    assert_eq!(
        hashes(&db.superuser_url()).0,
        fingerprint,
        "it was only looked at"
    );
    db.execute(
        "UPDATE agents SET name = name || '!' WHERE name LIKE 'J%'; SELECT nextval('message_tracking_id_seq');
         CREATE TABLE __tool (id serial PRIMARY KEY); ANALYZE;
         CREATE TRIGGER __tool AFTER INSERT ON agents FOR EACH ROW EXECUTE FUNCTION __tool()",
    );
    let after = hashes(&db.superuser_url());
    assert_eq!(after.0, fingerprint);
    assert_ne!(after.1, data);
}

#[test]
fn every_change_of_a_row_changes_the_hash_and_their_order_does_not() {
    let db = legacy_with_more();
    let (_, mut data) = hashes(&db.superuser_url());
    for change in [
        "UPDATE message_tracking SET status = NULL WHERE id = 1",
        "UPDATE message_tracking SET status = '' WHERE id = 1",
        "DELETE FROM x WHERE x IS NULL",
        "INSERT INTO x VALUES (1)",
        "INSERT INTO x VALUES (1)",
        "UPDATE visits SET cost = cost + 1e-12 WHERE id = 1",
        "UPDATE visits SET raw = raw || '\\x00' WHERE id = 50",
    ] {
        db.execute(change);
        let (_, now) = hashes(&db.superuser_url());
        assert_ne!(now, data, "{change}");
        data = now;
    }
    db.execute(
        "CREATE TABLE __kept AS SELECT * FROM conversation_mappings; DELETE FROM conversation_mappings;
         INSERT INTO conversation_mappings SELECT * FROM __kept ORDER BY id DESC",
    );
    assert_eq!(hashes(&db.superuser_url()).1, data);
}

#[test]
fn a_hash_of_what_a_policy_hides_or_no_grant_gives_is_refused() {
    use portal_test_harness::ServiceRole;

    let db = legacy_with_more();
    let refused = portalctl(&db.url(ServiceRole::Owner), &["db", "inspect", "--hash"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    let told = stderr(&refused);
    assert!(
        told.contains("\"public\".\"conversation_mappings\""),
        "{told}"
    );
    assert!(!told.contains("\"public\".\"agents\""), "{told}");
    db.execute("ALTER TABLE conversation_mappings DISABLE ROW LEVEL SECURITY");
    assert_eq!(
        hashes(&db.url(ServiceRole::Owner)),
        hashes(&db.superuser_url())
    );
}
