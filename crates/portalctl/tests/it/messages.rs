//! `portalctl message` and `portalctl dead-letters`.

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;

use crate::{portalctl, stderr, stdout};

const READ: &str = "01990000-0000-7000-8000-000000000001";
const FAILED: &str = "01990000-0000-7000-8000-000000000002";
const LOST: &str = "01990000-0000-7000-8000-000000000003";
const LETTER: &str = "01990000-0000-7000-8000-000000000004";
const SECRETS: [&str; 2] = ["canary-text", "15550001"];

/// Acme with a message that was read, one that failed, one of unknown fate, and a delivery that nobody
/// took.
fn world() -> (TestDb, String) {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO tenants (tenant_id, name) VALUES ('acme', 'Acme'), ('globex', 'Globex')",
    );
    for (id, status, error) in [
        (READ, "read", "NULL"),
        (
            FAILED,
            "failed",
            r#"'{"class": "permanent", "code": 100, "title": "canary-text"}'"#,
        ),
        (
            LOST,
            "failed",
            r#"'{"class": "undetermined", "code": null, "title": "t"}'"#,
        ),
    ] {
        db.execute(&format!(
            "INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, \
                 recipient, type, content, status, attempts, error, sent_by_kind, sent_by, request_id, \
                 traceparent, expires_at) \
             VALUES ('{id}', 'acme', gen_random_uuid(), '1', '+1555', '+15550001', 'text', \
                 '{{\"type\": \"text\", \"text\": {{\"body\": \"canary-text\"}}}}', '{status}', 1, {error}, \
                 'user', 'u-1', 'req-1', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', \
                 now() + interval '1 hour'); \
             INSERT INTO message_attempts (attempt_id, tenant_id, message_id, number, finished_at, outcome, \
                 http_status, error_code) \
             VALUES (gen_random_uuid(), 'acme', '{id}', 1, now(), \
                 CASE '{id}' WHEN '{READ}' THEN 'accepted' WHEN '{LOST}' THEN 'unknown' ELSE 'not_accepted' END, \
                 200, NULL); \
             INSERT INTO message_status_events (status_event_id, tenant_id, message_id, status, source, \
                 changed_status, occurred_at) \
             VALUES (gen_random_uuid(), 'acme', '{id}', '{status}', 'webhook', true, now()); \
             INSERT INTO outbox_events (event_id, service, tenant_id, exchange, routing_key, subject, payload, \
                 published_at) \
             VALUES (gen_random_uuid(), 'outbound_message_service', 'acme', 'agent-portal.events', \
                 'message.{status}', '{id}', '{{}}', now())",
        ));
    }
    db.execute(&format!(
        "INSERT INTO dead_letters (dead_letter_id, tenant_id, queue, routing_key, body, headers, error) \
         VALUES ('{LETTER}', 'acme', 'outbound-message-service.tenants', 'tenant.resumed', \
             '{{\"tenantid\": \"acme\", \"note\": \"canary-text\"}}', '{{}}', 'it cannot be read')"
    ));
    let url = db.url(ServiceRole::Owner);
    (db, url)
}

fn done(url: &str, arguments: &[&str]) -> Value {
    let text = portalctl(url, arguments);
    assert!(text.status.success(), "{}", stderr(&text));
    let json = portalctl(url, &[arguments, &["--json"]].concat());
    for shown in [stdout(&text), stdout(&json)] {
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    serde_json::from_str(&stdout(&json)).unwrap()
}

/// As [`done`], for what changes something: called once.
fn changed(url: &str, arguments: &[&str]) -> Value {
    let output = portalctl(url, &[arguments, &["--json", "--operator", "ada"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn statuses(db: &TestDb) -> Vec<String> {
    db.query("SELECT status FROM messages ORDER BY message_id")
}

#[test]
fn a_message_is_traced_whoevers_it_is_and_without_its_content() {
    let (_db, url) = world();
    let trace = done(&url, &["message", "trace", READ]);
    assert_eq!(trace["tenant_id"], "acme");
    assert_eq!(trace["request_id"], "req-1");
    assert_eq!(trace["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let kinds: Vec<_> = trace["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["kind"].clone())
        .collect();
    for kind in ["request", "attempt", "report", "published"] {
        assert!(kinds.contains(&kind.into()), "{kind} in {trace}");
    }
    let text = stdout(&portalctl(&url, &["message", "trace", READ]));
    for part in [
        "attempt 1: accepted",
        "webhook says read",
        "outbox message.read",
        "confirmed by the broker",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let unknown = portalctl(&url, &["message", "trace", LETTER]);
    assert!(
        stderr(&unknown).contains("there is no message"),
        "{}",
        stderr(&unknown)
    );

    let listed = done(
        &url,
        &["message", "list", "--tenant", "acme", "--status", "failed"],
    );
    let ids: Vec<_> = listed["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["message_id"].clone())
        .collect();
    assert_eq!(ids, [LOST, FAILED]);
    let none = done(&url, &["message", "list", "--tenant", "globex"]);
    assert_eq!(none["messages"].as_array().unwrap().len(), 0);
}

#[test]
fn dead_letters_are_listed_shown_and_put_aside() {
    let (db, url) = world();
    let list = |more: &[&str]| {
        let all = [&["dead-letters", "list", "--tenant", "acme"], more].concat();
        let listed = done(&url, &all)["dead_letters"].clone();
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l["dead_letter_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&[]), [LETTER, LOST, FAILED]);
    assert_eq!(list(&["--class", "undetermined"]), [LOST]);
    assert_eq!(list(&["--code", "100"]), [FAILED]);
    let shown = done(&url, &["dead-letters", "show", "--tenant", "acme", LETTER]);
    assert_eq!(shown["error"]["title"], "it cannot be read");
    let foreign = portalctl(
        &url,
        &["dead-letters", "show", "--tenant", "globex", LETTER],
    );
    assert!(
        stderr(&foreign).contains("no dead letter"),
        "{}",
        stderr(&foreign)
    );

    for id in [LETTER, FAILED] {
        let discard = ["dead-letters", "discard", "--tenant", "acme", id];
        let dry = changed(&url, &[&discard[..], &["--dry-run"]].concat());
        assert_eq!(
            (&dry["changed"], &dry["dry_run"]),
            (&true.into(), &true.into())
        );
        assert_eq!(changed(&url, &discard)["changed"], true);
        assert_eq!(changed(&url, &discard)["changed"], false);
    }
    assert_eq!(list(&[]), [LOST]);
    let audited = "SELECT concat_ws(' ', service, tenant_id, actor_id, action) FROM audit_log";
    let entry = "portalctl acme ada dead_letter.discard";
    assert_eq!(db.query(audited), [entry, entry]);
}

#[test]
fn dead_letters_are_replayed_once_and_only_knowingly_twice() {
    let (db, url) = world();
    let replay = |more: &[&str]| {
        changed(
            &url,
            &[&["dead-letters", "replay", "--tenant", "acme"], more].concat(),
        )
    };
    let dry = replay(&["--all", "--dry-run"]);
    assert_eq!(
        (&dry["replayed"], &dry["may_have_arrived"]),
        (&1.into(), &1.into())
    );
    assert_eq!(statuses(&db), ["read", "failed", "failed"]);
    assert_eq!(replay(&["--all", "--code", "100"])["replayed"], 1);
    assert_eq!(statuses(&db), ["read", "accepted", "failed"]);
    assert_eq!(replay(&[FAILED])["needless"], 1);
    assert_eq!(replay(&[LOST])["may_have_arrived"], 1);
    assert_eq!(replay(&[LOST, "--accept-duplicate"])["replayed"], 1);
    assert_eq!(
        db.query("SELECT message_id FROM messages WHERE possible_duplicate"),
        [LOST]
    );
    // Due at once, and at the end of its lane.
    assert_eq!(
        db.query("SELECT message_id FROM messages WHERE status = 'accepted' AND next_attempt_at <= now() ORDER BY seq"),
        [FAILED, LOST]
    );

    assert_eq!(replay(&[LETTER])["replayed"], 1);
    assert_eq!(replay(&[LETTER])["needless"], 1);
    assert_eq!(
        db.query(
            "SELECT concat_ws(' ', service, exchange, routing_key, payload ->> 'tenantid') FROM outbox_events \
             WHERE published_at IS NULL"
        ),
        ["outbound_message_service agent-portal.work outbound-message-service.tenants acme"]
    );
    let unknown = portalctl(
        &url,
        &["dead-letters", "replay", "--tenant", "globex", FAILED],
    );
    assert!(
        stderr(&unknown).contains("no dead letter"),
        "{}",
        stderr(&unknown)
    );
    let which = portalctl(&url, &["dead-letters", "replay", "--tenant", "acme"]);
    assert_eq!(which.status.code(), Some(2), "an id or --all");
}
