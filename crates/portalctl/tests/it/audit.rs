//! `portalctl audit`.

use std::path::PathBuf;

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;

use crate::{portalctl, stderr, stdout};

/// Adds an entry as a service would; the chain is made by the table's trigger.
fn append(db: &TestDb, tenant: Option<&str>, action: &str) {
    let tenant = tenant.map_or_else(|| "NULL".to_owned(), |tenant| format!("'{tenant}'"));
    db.execute(&format!(
        "INSERT INTO audit_log (audit_id, service, tenant_id, actor_kind, actor_id, action, target, \
             outcome, details, request_id) \
         VALUES (gen_random_uuid(), 'tenant_service', {tenant}, 'platform_admin', 'ada', '{action}', \
             NULL, 'succeeded', '{{\"z\": 1, \"ä;:\": \"5:x;\", \"a\": [null, 1.50]}}', 'req-1')"
    ));
}

fn filled() -> TestDb {
    let db = TestDb::new();
    for number in 1..=5 {
        append(&db, None, &format!("platform.{number}"));
        append(&db, Some("acme"), &format!("acme.{number}"));
    }
    append(&db, Some("globex"), "globex.1");
    db
}

fn verify(db: &TestDb, more: &[&str]) -> (Option<i32>, Value) {
    let args = [&["audit", "verify", "--json"], more].concat();
    let output = portalctl(&db.url(ServiceRole::Owner), &args);
    let json = serde_json::from_str(&stdout(&output));
    (
        output.status.code(),
        json.unwrap_or_else(|_| panic!("{}", stderr(&output))),
    )
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}-{}", uuid::Uuid::now_v7()))
}

/// What must not be there, done by somebody who may do anything.
fn tamper(db: &TestDb, sql: &str) {
    db.execute(&format!("SET session_replication_role = replica; {sql}"));
}

#[test]
fn an_untouched_log_is_intact_also_a_single_chain_and_an_empty_one() {
    let db = filled();
    let (code, found) = verify(&db, &[]);
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(
        (&found["entries"], &found["chains"]),
        (&11.into(), &3.into())
    );
    let (code, found) = verify(&db, &["--tenant", "acme"]);
    assert_eq!((code, &found["entries"]), (Some(0), &5.into()), "{found}");
    assert_eq!(verify(&TestDb::new(), &[]).0, Some(0));
}

#[test]
fn what_was_changed_taken_out_put_in_or_cut_off_is_named() {
    const COPY: &str = "audit_id, occurred_at, service, tenant_id, actor_kind, actor_id, action, \
                        target, outcome, details, request_id, traceparent, seq, prev_hash, entry_hash";
    let of_acme = "tenant_id = 'acme' AND seq";
    let put_in = format!(
        "INSERT INTO audit_log ({COPY}) SELECT gen_random_uuid(), occurred_at, service, tenant_id, \
             actor_kind, actor_id, 'forged', target, outcome, details, request_id, traceparent, 6, \
             entry_hash, sha256('x') FROM audit_log WHERE {of_acme} = 5"
    );
    for (sql, seq, problem) in [
        (
            format!("UPDATE audit_log SET action = 'x' WHERE {of_acme} = 3"),
            3,
            "was changed",
        ),
        (
            format!("UPDATE audit_log SET details = '{{}}' WHERE {of_acme} = 1"),
            1,
            "was changed",
        ),
        (
            format!("UPDATE audit_log SET occurred_at = occurred_at + '1 us' WHERE {of_acme} = 2"),
            2,
            "was changed",
        ),
        // Its own hash made to fit: the next one shows it.
        (
            format!(
                "UPDATE audit_log SET actor_id = 'bob' WHERE {of_acme} = 2; \
                 UPDATE audit_log a SET entry_hash = audit_entry_hash(a) WHERE {of_acme} = 2"
            ),
            3,
            "does not follow the one before",
        ),
        (
            format!("DELETE FROM audit_log WHERE {of_acme} = 3"),
            3,
            "is missing",
        ),
        (
            format!("DELETE FROM audit_log WHERE {of_acme} = 1"),
            1,
            "is missing",
        ),
        (
            format!("DELETE FROM audit_log WHERE {of_acme} >= 4"),
            4,
            "and what followed it are missing",
        ),
        (put_in, 6, "was changed"),
        (
            "UPDATE audit_chains SET head = sha256('x') WHERE chain = 'acme'".to_owned(),
            5,
            "is not the head that the chain has",
        ),
        (
            "DELETE FROM audit_chains WHERE chain = 'acme'".to_owned(),
            5,
            "is not the head that the chain has",
        ),
    ] {
        let db = filled();
        tamper(&db, &sql);
        let (code, found) = verify(&db, &[]);
        assert_eq!(code, Some(3), "{sql}: {found}");
        let broken = found["broken"].as_array().unwrap();
        assert_eq!(broken.len(), 1, "{sql}: {found}");
        assert_eq!(broken[0]["chain"], "acme", "{sql}");
        assert_eq!(
            (&broken[0]["seq"], &broken[0]["problem"]),
            (&seq.into(), &problem.into()),
            "{sql}"
        );
        assert_eq!(verify(&db, &["--tenant", "globex"]).0, Some(0));
    }
}

#[test]
fn an_anchor_knows_what_was_cut_off_together_with_the_head_or_written_anew() {
    let anchor = temporary("anchor");
    let file = anchor.to_str().unwrap();
    let cut = "DELETE FROM audit_log WHERE tenant_id = 'acme' AND seq > 3; \
               UPDATE audit_chains SET seq = 3, head = (SELECT entry_hash FROM audit_log \
                   WHERE tenant_id = 'acme' AND seq = 3) WHERE chain = 'acme'";
    let gone = "DELETE FROM audit_log WHERE tenant_id = 'acme'; \
                DELETE FROM audit_chains WHERE chain = 'acme'";
    let anew = "UPDATE audit_log SET action = 'x' WHERE tenant_id = 'acme' AND seq = 5; \
                UPDATE audit_log a SET entry_hash = audit_entry_hash(a) \
                    WHERE tenant_id = 'acme' AND seq = 5; \
                UPDATE audit_chains SET head = (SELECT entry_hash FROM audit_log \
                    WHERE tenant_id = 'acme' AND seq = 5) WHERE chain = 'acme'";
    for (sql, seq, problem) in [
        (cut, 4, "and what followed it are missing"),
        (gone, 1, "and what followed it are missing"),
        (anew, 5, "is not the one of the anchor"),
    ] {
        let db = filled();
        let (code, found) = verify(&db, &["--write-anchor", file]);
        assert_eq!(code, Some(0), "{found}");
        append(&db, Some("globex"), "globex.2");
        assert_eq!(
            verify(&db, &["--anchor", file]).0,
            Some(0),
            "a chain may go on"
        );

        tamper(&db, sql);
        let (code, found) = verify(&db, &[]);
        assert_eq!(code, Some(0), "without the anchor it looks whole: {found}");
        let (code, found) = verify(&db, &["--anchor", file, "--write-anchor", file]);
        assert_eq!(code, Some(3), "{found}");
        let broken = &found["broken"][0];
        assert_eq!(
            (&broken["chain"], &broken["seq"]),
            (&"acme".into(), &seq.into()),
            "{found}"
        );
        assert_eq!(broken["problem"], problem);
        // A log that is not intact makes no anchor: the old one still tells.
        assert_eq!(verify(&db, &["--anchor", file]).0, Some(3));
    }
    std::fs::remove_file(&anchor).unwrap();
}

#[test]
fn fifty_at_once_make_one_chain_and_only_the_reader_may_look() {
    let db = TestDb::new();
    std::thread::scope(|scope| {
        for number in 0..50 {
            let db = &db;
            scope.spawn(move || append(db, Some("acme"), &format!("acme.{number}")));
        }
    });
    let (code, found) = verify(&db, &[]);
    assert_eq!((code, &found["entries"]), (Some(0), &50.into()), "{found}");
    let service = portalctl(&db.url(ServiceRole::Tenant), &["audit", "verify"]);
    assert_eq!(service.status.code(), Some(1));
}
