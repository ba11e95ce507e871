//! `portalctl vault`: rotation over all columns, while services write.

use std::{
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use portal_test_harness::{ServiceRole, TestDb};
use portal_vault::{
    Vault,
    places::{self, PLATFORM, Place},
};
use secrecy::ExposeSecret as _;

use crate::{stderr, stdout};

const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TENANTS: u32 = 30;

fn both() -> String {
    format!("{OLD},{NEW}")
}

fn vault(keys: &str, active: &str) -> Vault {
    Vault::from_keys(&keys.into(), active).unwrap()
}

fn command(db: &TestDb, keys: &str, active: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portalctl"));
    command
        .arg("vault")
        .args(arguments)
        .env("DATABASE_URL", db.url(ServiceRole::Owner))
        .env("VAULT_KEYS", keys)
        .env("VAULT_ACTIVE_KEY", active);
    command
}

fn rotate(db: &TestDb, arguments: &[&str]) -> Output {
    let arguments = [&["rotate"], arguments].concat();
    command(db, &both(), "new", &arguments).output().unwrap()
}

fn uuid(kind: u32, number: u32) -> String {
    format!("00000000-0000-7000-8000-{kind:04}{number:08}")
}

fn bytea(bytes: &[u8]) -> String {
    format!("'\\x{}'::bytea", hex::encode(bytes))
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("\\x").unwrap()).unwrap()
}

/// What a record says: where it lies, so that a mix-up shows.
fn secret(place: &Place, row_id: &str) -> String {
    format!("{} {} {row_id}", place.table, place.column)
}

/// A record in every sealed column, for each of the tenants, sealed with the old key.
fn world() -> TestDb {
    let db = TestDb::new();
    let vault = vault(OLD, "old");
    let seal = |place: Place, tenant: &str, row: &str| {
        let text = secret(&place, row);
        bytea(&vault.seal(&place.of(tenant, row), &text.into()).unwrap())
    };
    let mut sql = Vec::new();
    for kid in ["kid_a", "kid_b"] {
        let service = if kid == "kid_a" {
            "agent_portal_service"
        } else {
            "tenant_service"
        };
        let key = seal(places::SIGNING_KEY, PLATFORM, kid);
        sql.push(format!(
            "INSERT INTO signing_keys (kid, service, algorithm, public_key, private_key, status) \
             VALUES ('{kid}', '{service}', 'EdDSA', '\\x00', {key}, 'active');"
        ));
        let admin = uuid(1, u32::from(kid == "kid_a"));
        let totp = seal(places::ADMIN_TOTP_SECRET, PLATFORM, &admin);
        sql.push(format!(
            "INSERT INTO platform_admins (admin_id, email, name, password_hash, totp_secret) \
             VALUES ('{admin}', '{kid}@example.org', 'A', 'x', {totp});"
        ));
    }
    for number in 0..TENANTS {
        let tenant = format!("tenant_{number}");
        let [config, credential, signup, user, session] =
            [2, 3, 4, 5, 6].map(|kind| uuid(kind, number));
        let [token, pin] = [places::WHATSAPP_TOKEN, places::WHATSAPP_PIN]
            .map(|place| seal(place, &tenant, &config));
        let client_secret = seal(places::CLIENT_SECRET, &tenant, &credential);
        let [signup_token, signup_pin] =
            [places::SIGNUP_TOKEN, places::SIGNUP_PIN].map(|place| seal(place, &tenant, &signup));
        let [access, refresh] = [places::GENESYS_ACCESS_TOKEN, places::GENESYS_REFRESH_TOKEN]
            .map(|place| seal(place, &tenant, &session));
        sql.push(format!(
            "INSERT INTO tenants (tenant_id, name) VALUES ('{tenant}', 'T'); \
             INSERT INTO tenant_whatsapp_config (config_id, tenant_id, waba_id, access_token, \
                 access_token_last4, access_token_fingerprint, pin) \
             VALUES ('{config}', '{tenant}', '{number}', {token}, 'last', 'print', {pin}); \
             INSERT INTO tenant_credentials (credential_id, tenant_id, kind, region, client_id, \
                 client_secret) \
             VALUES ('{credential}', '{tenant}', 'genesys', 'mypurecloud.com', 'c', {client_secret}); \
             INSERT INTO whatsapp_signups (signup_id, tenant_id, waba_id, access_token, pin, created_by) \
             VALUES ('{signup}', '{tenant}', 'w', {signup_token}, {signup_pin}, 'a'); \
             INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
             VALUES ('{user}', '{tenant}', 'o', 'g', 'N'); \
             INSERT INTO genesys_user_sessions (session_id, tenant_id, user_id, refresh_token_hash, \
                 genesys_region, genesys_access_token, genesys_refresh_token, idle_expires_at, expires_at) \
             VALUES ('{session}', '{tenant}', '{user}', '\\x00', 'r', {access}, {refresh}, now(), now());"
));
    }
    db.execute(&sql.concat());
    db
}

/// How many records there are.
fn records() -> usize {
    4 + 7 * usize::try_from(TENANTS).unwrap()
}

/// Opens every record with these keys alone; how many there are.
fn open_all(db: &TestDb, vault: &Vault) -> usize {
    let mut opened = 0;
    for place in places::ALL {
        let Place {
            table,
            column,
            row_id,
            ..
        } = place;
        let tenant = if place.is_of_tenant {
            "tenant_id"
        } else {
            "'platform'"
        };
        let rows = db.query(&format!(
            "SELECT concat_ws(' ', {tenant}, {row_id}, {column}) FROM {table}"
        ));
        for row in rows {
            let [tenant, row_id, sealed] = row.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{place:?}: a record is missing: {row}")
            };
            let text = vault.open(&place.of(tenant, row_id), &unhex(sealed));
            let text = text.unwrap_or_else(|error| panic!("{place:?}: {error}"));
            assert!(text.expose_secret().starts_with(&secret(&place, row_id)));
            opened += 1;
        }
    }
    opened
}

/// How many records the old key still seals.
fn left(db: &TestDb) -> usize {
    let status = command(db, &both(), "new", &["status", "--json"])
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", stderr(&status));
    let status: serde_json::Value = serde_json::from_str(&stdout(&status)).unwrap();
    let columns = status["columns"].as_array().unwrap().iter();
    let old = columns.filter(|column| column["key_id"] == "old");
    old.map(|column| usize::try_from(column["records"].as_u64().unwrap()).unwrap())
        .sum()
}

#[test]
fn all_columns_are_rewrapped_and_the_old_key_can_go() {
    let db = world();
    assert_eq!(left(&db), records());

    let dry = rotate(&db, &["--dry-run", "--json"]);
    assert_eq!(dry.status.code(), Some(3), "{}", stderr(&dry));
    let told: serde_json::Value = serde_json::from_str(&stdout(&dry)).unwrap();
    assert_eq!(told["rewrapped"], records());
    assert_eq!(left(&db), records());
    assert_eq!(db.query("SELECT count(*) FROM audit_log"), ["0"]);

    let done = rotate(&db, &["--batch", "7", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let told: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(
        (&told["left"], &told["rewrapped"]),
        (&0.into(), &records().into())
    );
    assert!(stderr(&done).contains("tenant_whatsapp_config.pin: 30 record(s)"));
    assert_eq!(left(&db), 0);
    assert_eq!(open_all(&db, &vault(NEW, "new")), records());
    let audit =
        db.query("SELECT concat_ws(' ', service, actor_kind, action, target) FROM audit_log");
    assert_eq!(audit, ["portalctl operator vault.rotate new"]);

    let again = rotate(&db, &[]);
    assert_eq!(again.status.code(), Some(0));
    assert!(stdout(&again).contains("0 record(s)"), "{}", stdout(&again));
}

#[test]
fn services_write_and_read_while_keys_are_rotated() {
    let db = world();
    let (stop, writes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let place = places::WHATSAPP_TOKEN;
    // Services get the new active key one after the other: both kinds write side by side.
    let write = |active: &str, number: u32| {
        let (vault, row, tenant) = (
            vault(&both(), active),
            uuid(2, number),
            format!("tenant_{number}"),
        );
        while !stop.load(Ordering::SeqCst) {
            let count = writes.fetch_add(1, Ordering::SeqCst);
            let text = format!("{} {count}", secret(&place, &row));
            let sealed = vault
                .seal(&place.of(&tenant, &row), &text.as_str().into())
                .unwrap();
            db.execute(&format!(
                "UPDATE tenant_whatsapp_config SET access_token = {} WHERE config_id = '{row}'",
                bytea(&sealed)
            ));
            // What was just written opens, whoever wrapped it meanwhile, and was not undone.
            let sql = "SELECT access_token FROM tenant_whatsapp_config";
            let found = db
                .query_as(ServiceRole::Tenant, Some(&tenant), sql)
                .unwrap();
            let read = vault
                .open(&place.of(&tenant, &row), &unhex(&found[0]))
                .unwrap();
            assert_eq!(read.expose_secret(), text);
        }
    };
    std::thread::scope(|scope| {
        let threads = [("old", 3), ("new", 5)].map(|(active, number)| {
            let write = &write;
            scope.spawn(move || write(active, number))
        });
        // Two at once, again and again, until there was plenty of company.
        while writes.load(Ordering::SeqCst) < 100
            && !threads
                .iter()
                .any(std::thread::ScopedJoinHandle::is_finished)
        {
            let runs = [0, 1].map(|_| scope.spawn(|| rotate(&db, &["--batch", "3"])));
            for run in runs {
                let run = run.join().unwrap();
                assert!(matches!(run.status.code(), Some(0 | 3)), "{}", stderr(&run));
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    let done = rotate(&db, &[]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert_eq!(open_all(&db, &vault(NEW, "new")), records());
}

#[test]
fn a_run_that_was_killed_is_taken_up_by_the_next() {
    let db = world();
    let mut killed = command(
        &db,
        &both(),
        "new",
        &["rotate", "--batch", "1", "--pause-ms", "20"],
    )
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while left(&db) > records() - 10 {
        assert!(Instant::now() < deadline, "nothing happens");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left_behind = left(&db);
    assert!(left_behind > 0 && left_behind < records(), "{left_behind}");
    assert_eq!(open_all(&db, &vault(&both(), "new")), records());

    let done = rotate(&db, &["--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let told: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(told["rewrapped"], left_behind);
    assert_eq!(open_all(&db, &vault(NEW, "new")), records());
}

#[test]
fn what_does_not_open_is_named_and_left_as_it_is() {
    let db = world();
    // A record of another tenant's row, and one that is none.
    db.execute(
        "UPDATE tenant_credentials SET client_secret = \
             (SELECT client_secret FROM tenant_credentials WHERE tenant_id = 'tenant_1') \
         WHERE tenant_id = 'tenant_2'; \
         UPDATE tenant_whatsapp_config SET pin = '\\x31' WHERE tenant_id = 'tenant_4'",
    );
    let partly = rotate(&db, &["--json"]);
    assert_eq!(partly.status.code(), Some(3), "{}", stderr(&partly));
    let told: serde_json::Value = serde_json::from_str(&stdout(&partly)).unwrap();
    assert_eq!(
        (&told["left"], &told["rewrapped"]),
        (&2.into(), &(records() - 2).into())
    );
    let complaints = stderr(&partly);
    assert!(
        complaints.contains(&uuid(3, 2)) && complaints.contains(&uuid(2, 4)),
        "{complaints}"
    );
    let status = command(&db, &both(), "new", &["status"]).output().unwrap();
    assert!(stdout(&status).contains("(no record of the vault) tenant_whatsapp_config.pin: 1"));
    assert!(stdout(&status).contains("old tenant_credentials.client_secret: 1 record(s)"));

    // Without the old key nothing is changed.
    let db = world();
    let refused = command(&db, NEW, "new", &["rotate"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("the vault key `old` is not configured"));
    assert_eq!(left(&db), records());
    assert_eq!(open_all(&db, &vault(OLD, "old")), records());
}
