//! What Meta tells of business accounts: followed, told on, kept.

use portal_sandbox::seed;
use portal_test_harness::eventually;
use serde_json::{Value, json};

use crate::{
    meta::{SHEENA, entry, of_number, tell, tell_only, text},
    world::World,
};

const ACME: &str = seed::ACME_PHONE_NUMBER_ID;
const WABA: &str = seed::ACME_WABA_ID;

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_holds_the_accounts_numbers_and_its_end_lets_them_go_on() {
    let world = World::start().await;
    let events = world.listen("tenant.whatsapp.account_changed").await;
    let ban = |state: &str| {
        entry(
            WABA,
            "account_update",
            &json!({"event": "DISABLED_UPDATE",
            "ban_info": {"waba_ban_state": state, "waba_ban_date": "January 2, 2026"}}),
        )
    };
    tell(&world, &[ban("DISABLE")]).await;
    // The same notice in another post is no second one.
    tell(
        &world,
        &[
            ban("DISABLE"),
            entry(WABA, "hologram_update", &json!({"beam": 7})),
        ],
    )
    .await;
    let event = events.next().await.envelope["data"].clone();
    assert_eq!(
        (&event["tenant_id"], &event["effect"]),
        (&json!("acme"), &json!("stopped"))
    );
    assert_eq!(event["details"]["event"], "DISABLED_UPDATE");
    let holds = "SELECT tenant_id || ' ' || phone_number_id || ' ' || reason FROM sending_holds";
    assert_eq!(world.db.query(holds), [format!("acme {ACME} account")]);
    // It was not probed yet, and can be at once when the ban ends.
    tell(&world, &[ban("REINSTATE")]).await;
    assert_eq!(events.next().await.envelope["data"]["effect"], "restored");
    let waiting = "SELECT count(*) FROM sending_holds WHERE next_probe_at > now()";
    assert_eq!(world.db.query(waiting), ["0"]);
    assert!(
        events.poll().await.is_none(),
        "what is unknown is kept and not told on"
    );
    let kept = "SELECT field FROM account_notices ORDER BY received_at, field";
    assert_eq!(
        world.db.query(kept),
        ["account_update", "hologram_update", "account_update"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_numbers_new_limit_is_noted_and_told_once() {
    let world = World::start().await;
    let events = world.listen("tenant.whatsapp.quality_changed").await;
    let update = |event: &str, limit: Option<&str>| {
        let display = seed::ACME_DISPLAY_PHONE_NUMBER.replace(|c: char| !c.is_ascii_digit(), "");
        entry(
            WABA,
            "phone_number_quality_update",
            &json!({"display_phone_number": display,
            "event": event, "current_limit": limit}),
        )
    };
    tell(&world, &[update("ONBOARDING", Some("TIER_2K"))]).await;
    world
        .db
        .execute("UPDATE sending_numbers SET checked_at = now()");
    tell(&world, &[update("THROUGHPUT_UPGRADE", None)]).await;
    let event = events.next().await.envelope["data"].clone();
    assert_eq!(
        (&event["phone_number_id"], &event["limit"]),
        (&json!(ACME), &json!("TIER_2K"))
    );
    assert!(events.poll().await.is_none());
    let number = "SELECT messaging_limit || ' ' || (checked_at IS NULL) FROM sending_numbers";
    assert_eq!(
        world.db.query(number),
        ["TIER_2K true"],
        "Meta is asked for the rest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contacts_choice_is_kept_and_an_older_one_changes_nothing() {
    let world = World::start().await;
    let events = world.listen("contact.preference_changed").await;
    let choice = |value: &str, at: i64| {
        let choice = json!({"user_preferences": [{"wa_id": "16505551234", "user_id": "US.1",
            "category": "marketing_messages", "value": value, "timestamp": at}]});
        entry(WABA, "user_preferences", &of_number(ACME, &choice))
    };
    tell(&world, &[choice("stop", 1_750_000_010)]).await;
    tell(&world, &[choice("resume", 1_750_000_000)]).await;
    let event = events.next().await.envelope["data"].clone();
    assert_eq!(
        (&event["contact"], &event["value"]),
        (&json!("+16505551234"), &json!("stop"))
    );
    assert!(events.poll().await.is_none());
    let kept =
        "SELECT contact || ' ' || value FROM contact_preferences ORDER BY contact COLLATE \"C\"";
    assert_eq!(world.db.query(kept), ["+16505551234 stop", "US.1 stop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_on_the_phone_is_told_as_the_organizations_own() {
    let world = World::start().await;
    let events = world.listen("message.*").await;
    let echo = json!({"message_echoes": [{"id": "wamid.e", "to": "16505551234", "from": "1",
        "timestamp": "1750000000", "type": "text", "text": {"body": "From my phone"}}]});
    let echo = entry(WABA, "smb_message_echoes", &of_number(ACME, &echo));
    tell(
        &world,
        &[echo, text(ACME, SHEENA, "wamid.i", 1_750_000_001)],
    )
    .await;
    let (own, theirs) = (events.next().await, events.next().await);
    assert_eq!(own.routing_key, "message.echoed");
    assert_eq!(theirs.routing_key, "message.received");
    let (own, theirs) = (&own.envelope["data"], &theirs.envelope["data"]);
    assert_eq!(own["conversation_id"], theirs["conversation_id"]);
    assert_eq!(own["payload"]["text"]["body"], "From my phone");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_an_account_that_nobody_has_is_kept_for_somebody() {
    let world = World::start().await;
    let notice = entry(
        "77",
        "account_review_update",
        &json!({"decision": "APPROVED"}),
    );
    tell_only(
        &world,
        &[notice, Value::Null, json!({"id": "78", "changes": 5})],
    )
    .await;
    let state = "SELECT state || ' ' || (attempts > 0) FROM webhook_intake";
    eventually("a first look", async || {
        (world.db.query(state) == ["pending true"]).then_some(())
    })
    .await;
    world
        .db
        .execute("UPDATE webhook_intake SET attempts = 17, next_attempt_at = now()");
    eventually("the post to be given up and kept", async || {
        (world.db.query(state) == ["unrouted true"]).then_some(())
    })
    .await;
    assert_eq!(
        world.db.query("SELECT count(*) FROM account_notices"),
        ["0"]
    );
}
