//! `portalctl import tenant-orgs`: all of a file, or nothing.

use std::{fs, path::PathBuf, process::Output};

use portal_sandbox::{Sandbox, SandboxConfig, seed};
use portal_test_harness::{ServiceRole, TestDb};
use portal_vault::{Binding, Vault};
use serde_json::{Value, json};

use crate::{portalctl, stderr, stdout};

const HEADER: &str = "tenant_id,genesys_org_id";

/// Four tenants without organizations, one with, one that is gone.
fn world() -> (TestDb, String) {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO tenants (tenant_id, name, genesys_org_id, status) VALUES \
             ('acme_corp', 'n', NULL, 'active'), ('globex_inc', 'n', NULL, 'active'), \
             ('initech', 'n', NULL, 'active'), ('umbrella', 'n', NULL, 'active'), \
             ('hooli', 'n', 'org-hooli', 'active'); \
         INSERT INTO tenants (tenant_id, name, status, deleted_at) VALUES ('gone', 'n', 'deleted', now())",
    );
    let url = db.url(ServiceRole::Owner);
    (db, url)
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn import(url: &str, path: &std::path::Path, options: &[&str]) -> Output {
    let mut arguments = vec!["import", "tenant-orgs", path.to_str().unwrap()];
    arguments.extend(options);
    portalctl(url, &arguments)
}

fn report(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

fn orgs(db: &TestDb) -> Vec<String> {
    db.query(
        "SELECT tenant_id || ' ' || genesys_org_id FROM tenants WHERE genesys_org_id IS NOT NULL \
         ORDER BY tenant_id",
    )
}

#[test]
fn a_list_is_rehearsed_applied_and_then_unchanged() {
    let (db, url) = world();
    let list = fs::read("tests/it/tenant_genesys_mapping.csv").unwrap();
    let path = file("rehearsed.csv", list);
    let before = orgs(&db);
    let rehearsal = import(&url, &path, &["--dry-run", "--json"]);
    assert!(rehearsal.status.success(), "{}", stderr(&rehearsal));
    let rehearsal = report(&rehearsal);
    assert_eq!(
        json!([rehearsal["set"], rehearsal["applied"]]),
        json!([4, false])
    );
    assert_eq!(orgs(&db), before);
    assert_eq!(db.query("SELECT count(*) FROM outbox_events"), ["0"]);

    let done = report(&import(&url, &path, &["--json", "--operator", "Ann"]));
    assert_eq!(json!([done["set"], done["applied"]]), json!([4, true]));
    assert_eq!(orgs(&db).len(), 5);
    let told = db.query(
        "SELECT concat_ws(' ', tenant_id, routing_key, payload->'data'->>'genesys_org_id') \
         FROM outbox_events WHERE tenant_id = 'acme_corp'",
    );
    assert_eq!(
        told,
        ["acme_corp tenant.genesys_org.mapped abc-123-def-456"]
    );
    let audited = db.query(
        "SELECT concat_ws(' ', action, actor_id, details->>'by') FROM audit_log WHERE target = 'acme_corp'",
    );
    assert_eq!(audited, ["tenant.map_genesys_org Ann import"]);

    let again = report(&import(&url, &path, &["--json"]));
    assert_eq!(json!([again["set"], again["unchanged"]]), json!([0, 4]));
    assert_eq!(db.query("SELECT count(*) FROM outbox_events"), ["4"]);
}

#[test]
fn one_bad_row_stops_all_and_each_is_named_with_its_line() {
    let (db, url) = world();
    let rows = "acme_corp;org-1\r\nglobex_inc;org-hooli\r\nnobody;org-2\r\ngone;org-3\r\n\
                initech;org 4\r\numbrella;org-1\r\nacme_corp;org-5\r\numbrella\r\n";
    let text = format!("\u{feff}tenant_id;genesys_org_id\r\n{rows}");
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let before = orgs(&db);
    for (name, bytes) in [
        ("bad.csv", text.clone().into_bytes()),
        ("bad16.csv", utf_16),
    ] {
        let refused = import(&url, &file(name, bytes), &["--json"]);
        assert!(!refused.status.success());
        let found = report(&refused);
        let verdicts: Vec<String> = found["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("{} {}", row["line"], row["result"].as_str().unwrap()))
            .collect();
        assert_eq!(
            verdicts,
            [
                "2 set",
                "3 conflict",
                "4 unknown_tenant",
                "5 unknown_tenant",
                "6 invalid",
                "7 conflict",
                "8 conflict",
                "9 invalid"
            ]
        );
        assert_eq!(orgs(&db), before);
    }
    let told = import(&url, &file("told.csv", text), &[]);
    let told = stdout(&told) + &stderr(&told);
    assert!(
        told.contains("7 of 8 rows are bad, and nothing was changed"),
        "{told}"
    );
    assert!(
        told.contains("line 3 (globex_inc): The organization belongs to a tenant"),
        "{told}"
    );
}

#[test]
fn what_is_no_such_list_is_refused_with_what_it_must_be() {
    let (_db, url) = world();
    for (name, bytes, complaint) in [
        (
            "header.csv",
            b"acme_corp,org-1\n".to_vec(),
            "must begin with the line",
        ),
        (
            "empty.csv",
            format!("{HEADER}\n").into_bytes(),
            "must have at least one row",
        ),
        (
            "latin1.csv",
            [HEADER.as_bytes(), b"\ninitech,\xff\n"].concat(),
            "must be UTF-8",
        ),
    ] {
        let refused = import(&url, &file(name, bytes), &[]);
        assert!(!refused.status.success());
        let text = stderr(&refused);
        assert!(text.contains(complaint) && text.contains(name), "{text}");
    }
    let missing = import(&url, std::path::Path::new("none.csv"), &[]);
    assert!(
        stderr(&missing).contains("none.csv cannot be read"),
        "{}",
        stderr(&missing)
    );
}

const VAULT_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Gives a tenant a client of Genesys, in the region of the sandbox.
fn give_client(db: &TestDb, tenant: &str, client_id: &str, secret: &str) {
    let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let id = uuid::Uuid::now_v7();
    let row_id = id.to_string();
    let binding = Binding {
        table: "tenant_credentials",
        column: "client_secret",
        tenant_id: tenant,
        row_id: &row_id,
    };
    let sealed = hex::encode(vault.seal(&binding, &secret.into()).unwrap());
    db.execute(&format!(
        "INSERT INTO tenant_credentials (credential_id, tenant_id, kind, region, client_id, client_secret) \
         VALUES ('{id}', '{tenant}', 'genesys', 'sandbox', '{client_id}', '\\x{sealed}')"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn genesys_is_asked_whose_an_organization_is() {
    let (db, url) = world();
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    give_client(
        &db,
        "acme_corp",
        seed::ACME_CC_CLIENT_ID,
        seed::ACME_CC_CLIENT_SECRET,
    );
    give_client(
        &db,
        "globex_inc",
        seed::GLOBEX_CC_CLIENT_ID,
        seed::GLOBEX_CC_CLIENT_SECRET,
    );
    give_client(&db, "initech", seed::INITECH_CC_CLIENT_ID, "another secret");
    give_client(
        &db,
        "umbrella",
        seed::INITECH_CC_CLIENT_ID,
        seed::INITECH_CC_CLIENT_SECRET,
    );
    db.execute("UPDATE tenants SET genesys_region = 'mypurecloud.de' WHERE tenant_id = 'umbrella'");
    let host = format!("sandbox={}", sandbox.base_url());
    let keys = file("live-keys", VAULT_KEYS);
    let check = |name: &str, rows: &str, hosts: bool| {
        let path = file(name, format!("{HEADER}\n{rows}"));
        let mut options = vec!["--live-check", "--json", "--vault-active-key", "k1"];
        options.extend(["--vault-keys-file", keys.to_str().unwrap()]);
        if hosts {
            options.extend(["--genesys-host", &host]);
        }
        import(&url, &path, &options)
    };
    let good = format!(
        "acme_corp,{}\ninitech,org-initech\nhooli,org-hooli\n",
        seed::ACME_ORG_ID
    );
    let bad = format!(
        "globex_inc,{}\numbrella,{}\nnobody,org-2\n",
        seed::HOOLI_ORG_ID,
        seed::INITECH_ORG_ID
    );
    let refused = check("live-bad.csv", &(good.clone() + &bad), true);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    let found = report(&refused);
    let rows: Vec<Value> = found["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["line"], row["result"], row["code"], row["live"]]))
        .collect();
    let no_client = "Genesys does not take the tenant's client: verify it on the admin dashboard";
    assert_eq!(
        json!(rows),
        json!([
            [2, "set", null, "confirmed"],
            [3, "set", null, {"unanswered": no_client}],
            [4, "unchanged", null, "unchecked"],
            [5, "conflict", "GENESYS_ORG_CONTRADICTED", "contradicted"],
            [6, "conflict", "GENESYS_REGION_CONTRADICTED", "contradicted"],
            [7, "unknown_tenant", "TENANT_NOT_FOUND", null],
        ])
    );
    assert_eq!(orgs(&db), ["hooli org-hooli"]);

    let nowhere = check("live-nowhere.csv", &good, false);
    let told = stderr(&nowhere);
    assert!(told.contains("--genesys-host sandbox=URL"), "{told}");

    let done = check("live-good.csv", &good, true);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let found = report(&done);
    let counts = json!([found["set"], found["confirmed"], found["unchecked"]]);
    assert_eq!(counts, json!([2, 1, 2]));
    for output in [&refused, &nowhere, &done] {
        let all = stdout(output) + &stderr(output);
        assert!(!all.contains(seed::ACME_CC_CLIENT_SECRET), "{all}");
    }
}
