//! `portalctl conversations`.

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;

use crate::{portalctl, stderr, stdout};

fn rebuild(url: &str, more: &[&str]) -> (i32, Value) {
    let mut all = vec!["conversations", "rebuild", "--json"];
    all.extend(more);
    let output = portalctl(url, &all);
    let code = output.status.code().unwrap();
    assert!(code == 0 || code == 3, "{}", stderr(&output));
    (code, serde_json::from_str(&stdout(&output)).unwrap())
}

#[test]
fn conversations_are_made_anew_from_the_messages() {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO tenants (tenant_id, name) VALUES ('acme_corp', 'Acme'), ('globex_inc', 'Globex'); \
         INSERT INTO inbound_messages (inbound_id, tenant_id, phone_number_id, wamid, conversation_id, contact, \
             wa_id, type, payload, sent_at, received_at) \
         SELECT gen_random_uuid(), 'acme_corp', '1', 'w' || n, gen_random_uuid(), '+1415555' || n % 7, \
             '1415555' || n % 7, 'text', '{\"text\": {\"body\": \"hi\"}}', now() - n * interval '1 minute', now() \
         FROM generate_series(1, 1200) n",
    );
    let url = db.url(ServiceRole::Owner);

    let (code, found) = rebuild(&url, &["--dry-run"]);
    assert_eq!((code, &found["differences"]), (3, &1200.into()));
    let kept = "SELECT count(*) FROM conversation_messages";
    assert_eq!(db.query(kept), ["0"], "a dry run leaves all as it is");

    let (code, found) = rebuild(&url, &["--tenant", "acme_corp"]);
    assert_eq!((code, &found["differences"]), (0, &1200.into()));
    assert_eq!(found["tenants"][0]["named"][0]["kind"], "missing");
    assert_eq!(found["tenants"][0]["named"].as_array().unwrap().len(), 50);
    assert_eq!(db.query(kept), ["1200"]);
    assert_eq!(
        db.query("SELECT count(*) || ' ' || sum(unread_count) FROM conversations"),
        ["7 1200"]
    );
    let (code, found) = rebuild(&url, &["--dry-run"]);
    assert_eq!((code, &found["differences"]), (0, &0.into()));
    assert_eq!(
        (&found["messages"], &found["conversations"]),
        (&1200.into(), &7.into())
    );
    assert_eq!(
        db.query("SELECT tenant_id || ' ' || action FROM audit_log"),
        ["acme_corp conversations.rebuild"]
    );

    db.execute("UPDATE conversations SET unread_count = 0");
    let output = portalctl(&url, &["conversations", "rebuild", "--dry-run"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text.contains("7 differences, which were left as they are"),
        "{text}"
    );
    assert!(text.contains("was wrong in unread_count"), "{text}");
    let output = portalctl(&url, &["conversations", "rebuild", "--tenant", "nobody"]);
    assert!(!output.status.success());
}
