//! Reports that come before, after, and without the message that they are about.

use portal_conversations::Evidence;
use uuid::Uuid;

use crate::world::{World, accepted, at, report};

fn sent(second: i64) -> Evidence {
    Evidence {
        sent_at: Some(at(second)),
        ..Evidence::default()
    }
}

fn read(second: i64) -> Evidence {
    Evidence {
        read_at: Some(at(second)),
        ..Evidence::default()
    }
}

#[tokio::test]
async fn a_report_before_its_message_waits_for_it() {
    let world = World::new();
    let id = Uuid::now_v7();
    let first = world.apply(vec![report(id, read(5))]).await;
    assert!(first.conversations.is_empty(), "nobody knows whose it is");
    let then = world.apply(vec![accepted(id, "+14155550001", 1)]).await;
    assert_eq!(then.conversations.len(), 1);
    assert!(then.conversations[0].is_new);
    assert_eq!(then.conversations[0].arrived, [id]);
    // Late and twice: it stays read.
    let late = world
        .apply(vec![report(id, sent(2)), report(id, sent(2))])
        .await;
    assert!(late.conversations.is_empty());
    let again = world.apply(vec![accepted(id, "+14155550001", 1)]).await;
    assert!(again.conversations.is_empty());
    assert_eq!(
        world
            .test_db
            .query("SELECT status || ' ' || wamid FROM conversation_messages"),
        [format!("read wamid.{id}")]
    );
}

#[tokio::test]
async fn a_report_that_moves_a_message_names_its_conversation() {
    let world = World::new();
    let id = Uuid::now_v7();
    world.apply(vec![accepted(id, "+14155550001", 1)]).await;
    let applied = world.apply(vec![report(id, sent(2))]).await;
    assert_eq!(applied.conversations.len(), 1);
    let touched = &applied.conversations[0];
    assert_eq!(touched.row.conversation_id, world.id("+14155550001"));
    assert_eq!((&touched.moved, touched.arrived.len()), (&vec![id], 0));
}
