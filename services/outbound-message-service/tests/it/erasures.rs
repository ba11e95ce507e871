//! This service's part of erasing a contact.

use portal_sandbox::seed;
use portal_test_harness::eventually;
use serde_json::json;

use crate::{
    meta::{SHEENA, inbound, tell},
    world::World,
};

const ACME: &str = seed::ACME_PHONE_NUMBER_ID;
const GLOBEX: &str = seed::GLOBEX_PHONE_NUMBER_ID;
const TEXT: &str = "zanzibar";

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_is_erased_is_in_no_table_and_repetitions_bring_nothing_back() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let number = SHEENA.wa_id.expect("a number");
    let user = SHEENA.user_id.expect("a user id");
    let sent = world.send(&token, &format!("+{number}")).await;
    eventually("the message to be sent", async || {
        let (_, found) = world.get(&token, &sent).await;
        let status = found["status"].as_str()?.to_owned();
        ["sent", "delivered", "read"]
            .contains(&&*status)
            .then_some(())
    })
    .await;
    let now = chrono::Utc::now().timestamp();
    let content = json!({"type": "text", "text": {"body": TEXT}});
    let post = [inbound(ACME, SHEENA, "wamid.erased", now, &content)];
    tell(&world, &post).await;
    let theirs = json!({"type": "text", "text": {"body": "of another tenant"}});
    tell(
        &world,
        &[inbound(GLOBEX, SHEENA, "wamid.theirs", now, &theirs)],
    )
    .await;
    assert!(
        !world.db.tables_with(TEXT).is_empty(),
        "the search finds what is there"
    );

    world.db.execute(&format!(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role_changed_at) \
         VALUES ('00000000-0000-7000-8000-000000000001', 'acme', 'o', 'u', 'n', now()); \
         INSERT INTO erasures (tenant_id, erasure_id, subject_hash, hash_key, identities, requested_by, requested_at) \
         VALUES ('acme', gen_random_uuid(), '\\x00', 'k', '{{+{number},{user}}}', '00000000-0000-7000-8000-000000000001', \
            now() + interval '1 second')"
    ));
    eventually("the messages to be erased", async || {
        let open = world
            .db
            .query("SELECT count(*) FROM erasures WHERE sent_done_at IS NULL");
        (open == ["0"]).then_some(())
    })
    .await;
    // The portal has its part to do, with the identities; what the other tenant has stays.
    world.db.execute("UPDATE erasures SET identities = '{}'");
    tell(&world, &post).await;
    // In another post, too: the message is known by its wamid.
    let again = [
        post[0].clone(),
        inbound(GLOBEX, SHEENA, "wamid.theirs", now, &theirs),
    ];
    tell(&world, &again).await;
    assert_eq!(
        world.db.tables_with(TEXT),
        ["webhook_intake"],
        "the post that came later"
    );
    let of_acme =
        "SELECT count(*) FROM inbound_messages WHERE tenant_id = 'acme' AND contact <> 'erased'";
    assert_eq!(world.db.query(of_acme), ["0"]);
    let sent_to =
        "SELECT count(*) FROM messages WHERE tenant_id = 'acme' AND recipient <> 'erased'";
    assert_eq!(world.db.query(sent_to), ["0"]);
    let theirs = format!(
        "SELECT count(*) FROM inbound_messages WHERE tenant_id = 'globex' AND contact = '+{number}'"
    );
    assert_eq!(world.db.query(&theirs), ["1"]);
    let (_, shown) = world.get(&token, &sent).await;
    assert_eq!(shown["to"], "erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_kept_long_enough_go_and_later_ones_and_a_contacts_choice_stay() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let number = SHEENA.wa_id.expect("a number");
    let old = world.send(&token, &format!("+{number}")).await;
    let recent = world.send(&token, &format!("+{number}")).await;
    for message in [&old, &recent] {
        eventually("the message to be sent", async || {
            let (_, found) = world.get(&token, message).await;
            let status = found["status"].as_str()?.to_owned();
            ["sent", "delivered", "read"]
                .contains(&&*status)
                .then_some(())
        })
        .await;
    }
    world.db.execute(&format!(
        "UPDATE messages SET accepted_at = now() - interval '10 days' WHERE message_id = '{old}'; \
         INSERT INTO contact_preferences (tenant_id, contact, category, value, changed_at) \
         VALUES ('acme', '+{number}', 'marketing_messages', 'stop', now() - interval '10 days'); \
         INSERT INTO erasures (tenant_id, erasure_id, subject_hash, hash_key, identities, reason, requested_at) \
         VALUES ('acme', gen_random_uuid(), '\\x00', 'k', '{{+{number}}}', 'retention', \
             now() - interval '7 days')"
    ));
    eventually("the old message to be erased", async || {
        let open = world
            .db
            .query("SELECT count(*) FROM erasures WHERE sent_done_at IS NULL");
        (open == ["0"]).then_some(())
    })
    .await;
    let of = |message: &str| {
        let row = world.db.query(&format!(
            "SELECT recipient || ' ' || (content = '{{}}') FROM messages WHERE message_id = '{message}'"
        ));
        row.concat()
    };
    assert_eq!(of(&old), "erased true");
    assert_eq!(of(&recent), format!("+{number} false"));
    assert_eq!(
        world.db.query("SELECT contact FROM contact_preferences"),
        [format!("+{number}")]
    );
}
