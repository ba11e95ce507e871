//! What Meta reports of our messages: in any order and number, early, late, contradicting itself.

use portal_sandbox::{magic_recipient, seed};
use portal_test_harness::eventually;
use serde_json::{Value, json};

use crate::{
    meta::{all_applied, status, statuses, tell, tell_only},
    world::World,
};

const ACME: &str = seed::ACME_PHONE_NUMBER_ID;

/// So many messages that Meta took: `wamid.1`, `wamid.2`, …
fn taken(world: &World, count: usize) {
    world.db.execute(&format!(
        "INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, \
             recipient, type, content, status, wamid, attempts, sent_by_kind, sent_by, expires_at) \
         SELECT gen_random_uuid(), 'acme', gen_random_uuid(), '{ACME}', '+1', '+2', 'text', '{{}}', \
             'sent', 'wamid.' || n, 1, 'user', 'u', now() + interval '1 day' \
         FROM generate_series(1, {count}) n"
    ));
}

fn failed(wamid: &str, code: i64) -> Value {
    let mut failed = status(wamid, "failed");
    failed["errors"] = json!([{"code": code, "title": "t"}]);
    failed
}

fn orders<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    (0..of.len())
        .flat_map(|index| {
            let mut rest = of.to_vec();
            let first = rest.remove(index);
            orders(&rest).into_iter().map(move |mut order| {
                order.insert(0, first.clone());
                order
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_the_same_reports_has_the_same_end() {
    let world = World::start().await;
    let mut cases: Vec<(Vec<&str>, &str)> = Vec::new();
    for (reports, end) in [
        (&["sent", "delivered", "read", "failed"][..], "read"),
        (&["sent", "delivered", "failed"], "delivered"),
        (&["sent", "played"], "read"),
        (&["sent", "failed"], "failed"),
    ] {
        cases.extend(orders(reports).into_iter().map(|order| (order, end)));
    }
    taken(&world, cases.len());
    for round in 0..4 {
        let mut reports: Vec<Value> = (1..)
            .zip(&cases)
            .filter_map(|(n, (order, _))| Some(status(&format!("wamid.{n}"), order.get(round)?)))
            .collect();
        // Each twice in a post, and the post twice.
        reports.extend(reports.clone());
        tell_only(&world, &[statuses(ACME, &reports)]).await;
        reports.reverse();
        tell(&world, &[statuses(ACME, &reports)]).await;
    }
    let ends = world
        .db
        .query("SELECT status FROM messages ORDER BY substr(wamid, 7)::int");
    let expected: Vec<_> = cases.iter().map(|(_, end)| *end).collect();
    assert_eq!(ends, expected, "{cases:?}");
    // All evidence is kept, each once.
    let kept = "SELECT count(*) FROM message_status_events WHERE source = 'webhook'";
    let told: usize = cases.iter().map(|(order, _)| order.len()).sum();
    assert_eq!(world.db.query(kept), [told.to_string()]);
    let seen = "SELECT extract(epoch FROM last_status_at)::bigint FROM sending_numbers";
    assert_eq!(world.db.query(seen), ["1750030073"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_of_a_thousand_statuses_is_applied_as_one() {
    let world = World::start().await;
    taken(&world, 1000);
    let mut reports: Vec<Value> = (1..=999)
        .map(|n| status(&format!("wamid.{n}"), "delivered"))
        .collect();
    reports.push(status("wamid.nobodys", "delivered"));
    tell(&world, &[statuses(ACME, &reports)]).await;
    let counts = "SELECT status || ' ' || count(*) FROM messages GROUP BY status ORDER BY 1";
    assert_eq!(world.db.query(counts), ["delivered 999", "sent 1"]);
    let told = "SELECT count(*) FROM outbox_events WHERE routing_key = 'message.delivered'";
    assert_eq!(world.db.query(told), ["999"]);
    let transactions = "SELECT count(DISTINCT xmin::text) FROM message_status_events";
    assert_eq!(world.db.query(transactions), ["1"]);
    assert_eq!(
        world.db.query("SELECT wamid FROM unmatched_statuses"),
        ["wamid.nobodys"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn contradictions_are_kept_and_told_of() {
    let world = World::start().await;
    let corrected = world.listen("message.status_corrected").await;
    taken(&world, 2);
    // Two failures with two codes are two pieces of evidence; the first one is shown.
    tell(&world, &[statuses(ACME, &[failed("wamid.1", 131_026)])]).await;
    tell(
        &world,
        &[statuses(
            ACME,
            &[failed("wamid.1", 131_047), failed("wamid.1", 131_026)],
        )],
    )
    .await;
    let codes = "SELECT error ->> 'code' FROM message_status_events ORDER BY 1";
    assert_eq!(world.db.query(codes), ["131026", "131047"]);
    let shown = "SELECT status || ' ' || (error ->> 'code') FROM messages WHERE wamid = 'wamid.1'";
    assert_eq!(world.db.query(shown), ["failed 131026"]);
    // We gave the second one up, and it arrived.
    world.db.execute(
        "UPDATE messages SET status = 'failed', error = '{\"class\": \"undetermined\"}' WHERE wamid = 'wamid.2'",
    );
    tell(&world, &[statuses(ACME, &[status("wamid.2", "sent")])]).await;
    tell(
        &world,
        &[statuses(
            ACME,
            &[status("wamid.1", "sent"), status("wamid.1", "delivered")],
        )],
    )
    .await;
    let first = corrected.next().await.envelope["data"].clone();
    assert_eq!(
        (&first["previous_class"], &first["status"]),
        (&json!("undetermined"), &json!("sent"))
    );
    let second = corrected.next().await.envelope["data"].clone();
    assert_eq!(
        second["status"], "delivered",
        "a late `sent` corrects nothing that Meta failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_wamid_is_a_second_message_and_told_of_once() {
    let world = World::start().await;
    let duplicates = world.listen("message.duplicate_detected").await;
    let token = world.sisters.token("acme");
    let id = world.send(&token, &magic_recipient("806", 0)).await;
    let message = world.reaches(&token, &id, "sent").await;
    let note = world.sandbox.journal().graph_messages()[0].body["biz_opaque_callback_data"].clone();
    let other = |kind: &str| {
        let mut other = status("wamid.other", kind);
        other["biz_opaque_callback_data"] = note.clone();
        other
    };
    tell(&world, &[statuses(ACME, &[other("sent")])]).await;
    tell(
        &world,
        &[statuses(ACME, &[other("delivered"), other("sent")])],
    )
    .await;
    let data = duplicates.next().await.envelope["data"].clone();
    assert_eq!(data["message_id"], id.as_str());
    assert_eq!(data["wamids"], json!([message["wamid"], "wamid.other"]));
    assert!(duplicates.poll().await.is_none());
    world.reaches(&token, &id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_waits_for_its_message_and_is_never_thrown_away() {
    let world = World::start().await;
    tell(
        &world,
        &[statuses(
            ACME,
            &[status("wamid.1", "delivered"), status("wamid.x", "read")],
        )],
    )
    .await;
    // Meta repeats; it waits once.
    let again = [status("wamid.x", "read"), status("wamid.1", "delivered")];
    tell(&world, &[statuses(ACME, &again)]).await;
    let waiting = "SELECT wamid || ' ' || state FROM unmatched_statuses ORDER BY 1";
    assert_eq!(
        world.db.query(waiting),
        ["wamid.1 pending", "wamid.x pending"]
    );
    taken(&world, 1);
    world
        .db
        .execute("UPDATE unmatched_statuses SET next_attempt_at = now(), attempts = 17");
    eventually(
        "the message to be delivered and the rest to be given up",
        async || {
            let moved = world.db.query("SELECT status FROM messages") == ["delivered"];
            (moved && world.db.query(waiting) == ["wamid.x quarantined"]).then_some(())
        },
    )
    .await;
    all_applied(&world).await;
}
