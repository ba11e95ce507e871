//! Meta's error codes through the whole service: each ends where the table says.

use std::collections::BTreeMap;

use portal_sandbox::{NextError, seed};
use portal_test_harness::eventually;
use portal_whatsapp::{ERROR_CODES, ErrorClass};

use crate::world::World;

/// The next send to this recipient ends with `code` and a status that says nothing.
fn order(world: &World, code: i64, recipient: &str) {
    world.sandbox.order_error(NextError {
        code: u32::try_from(code).unwrap(),
        http: Some(400),
        subcode: None,
        is_transient: None,
        message: None,
        details: None,
        times: 1,
        edge: "messages".to_owned(),
        phone_number_id: None,
        recipient: Some(recipient.to_owned()),
        by_webhook: false,
        regain_minutes: None,
    });
}

/// Code, class and what became of the message of each recipient whose first attempt is over.
fn first_attempts(world: &World) -> BTreeMap<String, String> {
    let rows = world.db.query(
        "SELECT m.recipient || ' ' || a.error_code || ' ' || a.error_class \
             || CASE WHEN m.status = 'failed' THEN ' failed' ELSE '' END \
         FROM messages m JOIN message_attempts a USING (message_id) \
         WHERE a.number = 1 AND a.finished_at IS NOT NULL",
    );
    let split = rows.iter().filter_map(|row| row.split_once(' '));
    split
        .map(|(to, rest)| (to.to_owned(), rest.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_that_concerns_one_message_has_its_class() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let mut expected = BTreeMap::new();
    let rules = ERROR_CODES
        .iter()
        .filter(|rule| matches!(rule.class, ErrorClass::Permanent | ErrorClass::Retryable));
    for (place, rule) in rules.enumerate() {
        // The first code of a wide rule may belong to an exception before it; the last does not.
        let code = rule.last;
        let recipient = format!("4930{:07}", 1_000_000 + place);
        order(&world, code, &recipient);
        let failed = if rule.class == ErrorClass::Permanent {
            " failed"
        } else {
            ""
        };
        let told = format!("{code} {}{failed}", rule.class.as_str());
        expected.insert(format!("+{recipient}"), told);
        world.send(&token, &recipient).await;
    }
    let seen = eventually("all first attempts to be over", async || {
        let seen = first_attempts(&world);
        (seen.len() == expected.len()).then_some(seen)
    })
    .await;
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_concern_more_than_a_message_keep_it() {
    let world = World::start().await;
    // The last one stops the number, so each tenant gets one that does.
    for (tenant, limit, stop) in [
        ("acme", 131_056, (190, "credential")),
        ("globex", 130_429, (131_031, "account_state")),
    ] {
        let token = world.sisters.token(tenant);
        order(&world, limit, "493011111111");
        let limited = world.send(&token, "+493011111111").await;
        let message = world.reaches(&token, &limited, "read").await;
        assert_eq!(
            message["attempts"].as_array().unwrap().len(),
            2,
            "{message}"
        );
        assert_eq!(message["attempts"][0]["error_code"], limit);

        let (code, class) = stop;
        order(&world, code, "493022222222");
        let stopped = world.send(&token, "+493022222222").await;
        let message = eventually("the number to be held", async || {
            let (_, message) = world.get(&token, &stopped).await;
            (message["attempts"][0]["error_class"] == class).then_some(message)
        })
        .await;
        assert_ne!(message["status"], "failed");
        let held = format!("SELECT count(*) FROM sending_holds WHERE tenant_id = '{tenant}'");
        assert_eq!(world.db.query(&held), ["1"]);
    }
    let numbers = world.sandbox.journal().graph_messages();
    assert!(
        numbers
            .iter()
            .any(|call| call.phone_number_id == seed::GLOBEX_PHONE_NUMBER_ID)
    );
}
