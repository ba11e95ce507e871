//! What was lost is made anew from the messages, as it was.

use portal_conversations::{Difference, Pass, Step, rebuild};
use portal_test_harness::ServiceRole;
use uuid::Uuid;

use crate::world::{NUMBER, World, by};

const CONTACT: &str = "+14155550001";

/// A message of the contact and one of ours that failed, as outbound-message-service has them.
fn messages(world: &World, second: i64) -> (Uuid, Uuid) {
    let (theirs, ours) = (Uuid::now_v7(), Uuid::now_v7());
    let time = |after: i64| crate::world::at(second + after).to_rfc3339();
    let conversation = world.id(CONTACT);
    world.test_db.execute(&format!(
        "INSERT INTO inbound_messages (inbound_id, tenant_id, phone_number_id, wamid, conversation_id, contact, \
             wa_id, user_id, profile_name, type, payload, sent_at, received_at) \
         VALUES ('{theirs}', 'acme', '{NUMBER}', 'w-{theirs}', '{conversation}', '{CONTACT}', '14155550001', \
             'US.1001', 'Ada', 'text', '{{\"from\": \"14155550001\", \"text\": {{\"body\": \"hi\"}}}}', '{}', now()); \
         INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, recipient, \
             type, content, status, sent_by_kind, sent_by, expires_at, accepted_at) \
         VALUES ('{ours}', 'acme', '{conversation}', '{NUMBER}', '+1', '{CONTACT}', 'text', \
             '{{\"text\": {{\"body\": \"hello\"}}}}', 'failed', 'user', 'u', now(), '{}'); \
         INSERT INTO message_status_events (status_event_id, tenant_id, message_id, status, source, changed_status, \
             occurred_at, wamid, error) \
         VALUES (gen_random_uuid(), 'acme', '{ours}', 'sent', 'graph', true, '{}', 'w-{ours}', null), \
             (gen_random_uuid(), 'acme', '{ours}', 'failed', 'webhook', true, '{}', 'w-{ours}', \
             '{{\"code\": 131026, \"title\": \"t\", \"class\": \"permanent\"}}')",
        time(0),
        time(1),
        time(2),
        time(3),
    ));
    (theirs, ours)
}

async fn pass(world: &World, pass: Pass) -> Step {
    let tenant = world.tenant.clone();
    world
        .write(move |tx| rebuild(tx, &tenant, pass, None, 100, chrono::Utc::now()))
        .await
}

/// All passes; how many differences there were.
async fn rebuild_all(world: &World) -> usize {
    let mut differences = 0;
    for one in [Pass::Inbound, Pass::Outbound, Pass::Conversations] {
        differences += pass(world, one).await.differences.len();
    }
    differences
}

/// Everything that conversations show.
fn picture(world: &World) -> Vec<String> {
    [
        "SELECT (to_jsonb(c) - 'updated_at' - 'created_at')::text FROM conversations c ORDER BY conversation_id",
        "SELECT (to_jsonb(m) - 'seq')::text FROM conversation_messages m ORDER BY entry_id",
        "SELECT (to_jsonb(i) - 'first_seen_at')::text FROM contact_identities i ORDER BY identity",
    ]
    .iter()
    .flat_map(|sql| world.test_db.query(sql))
    .collect()
}

#[tokio::test]
async fn what_was_lost_comes_back_as_it_was() {
    // As portalctl is.
    let world = World::of(ServiceRole::Owner);
    let (theirs, ours) = messages(&world, 0);
    assert_eq!(
        pass(&world, Pass::Inbound).await.differences,
        [Difference::Missing(theirs)]
    );
    assert_eq!(
        pass(&world, Pass::Outbound).await.differences,
        [Difference::Missing(ours)]
    );
    assert_eq!(pass(&world, Pass::Conversations).await.differences, []);
    let row = world.get(world.id(CONTACT)).await;
    assert_eq!((row.unread_count, row.last_message_id), (1, Some(ours)));
    assert_eq!(rebuild_all(&world).await, 0, "nothing is different now");

    // Read and closed; then all messages are lost, and one more came meanwhile.
    world
        .with(world.id(CONTACT), |tx, tenant, row| {
            row.read(tx, tenant, None)?;
            row.close(tx, tenant, by(None)).map(drop)
        })
        .await;
    let before = picture(&world);
    world.test_db.execute("DELETE FROM conversation_messages");
    assert_eq!(rebuild_all(&world).await, 2);
    assert_eq!(picture(&world), before, "read and closed, as it was");

    world.test_db.execute(
        "DELETE FROM conversation_messages WHERE direction = 'inbound'; \
         UPDATE conversation_messages SET status = 'sent', undelivered_at = NULL, undelivered_error = NULL, error = NULL; \
         UPDATE conversations SET unread_count = 7, window_expires_at = NULL",
    );
    let lost = pass(&world, Pass::Inbound).await.differences;
    assert_eq!(lost, [Difference::Missing(theirs)]);
    let moved = pass(&world, Pass::Outbound).await.differences;
    assert_eq!(
        moved,
        [Difference::Status {
            message: ours,
            kept: "sent".to_owned(),
            follows: "failed".to_owned()
        }]
    );
    assert_eq!(pass(&world, Pass::Conversations).await.differences, []);
    assert_eq!(picture(&world), before);

    world
        .test_db
        .execute("UPDATE conversations SET unread_count = 7");
    let wrong = pass(&world, Pass::Conversations).await.differences;
    let id = world.id(CONTACT);
    assert_eq!(wrong, [Difference::Conversation(id, vec!["unread_count"])]);

    // What nobody saw yet is unread, and opens what was closed.
    messages(&world, 100);
    assert_eq!(rebuild_all(&world).await, 2);
    let row = world.get(id).await;
    assert_eq!((row.unread_count, row.is_open()), (1, true));
}

#[tokio::test]
async fn what_was_read_is_read_however_it_came() {
    let world = World::of(ServiceRole::Owner);
    messages(&world, 0);
    rebuild_all(&world).await;
    // It was written first and came last.
    let (theirs, _) = messages(&world, 1);
    world.test_db.execute(&format!(
        "UPDATE inbound_messages SET inbound_id = '01000000-0000-7000-8000-000000000001' \
         WHERE inbound_id = '{theirs}'"
    ));
    rebuild_all(&world).await;
    let read = world
        .with(world.id(CONTACT), |tx, tenant, row| {
            row.read(tx, tenant, None)?;
            row.close(tx, tenant, by(None)).map(drop)
        })
        .await;
    assert_eq!((read.unread_count, read.is_open()), (0, false));

    let before = picture(&world);
    world.test_db.execute("DELETE FROM conversation_messages");
    rebuild_all(&world).await;
    assert_eq!(picture(&world), before);
}
