//! Who is who, and what becomes of conversations when that turns out.

use portal_conversations::{Cause, Identity, separate};
use portal_db::DbError;
use uuid::Uuid;

use crate::world::{World, accepted, by, received};

#[tokio::test]
async fn a_user_id_and_a_number_are_one_conversation_in_every_order() {
    let (number, user) = ("+14155550001", "US.1001");
    let facts = [
        received(Uuid::now_v7(), user, None, 1),
        received(Uuid::now_v7(), number, None, 2),
        received(Uuid::now_v7(), user, Some(number), 3),
        accepted(Uuid::now_v7(), number, 4),
    ];
    for order in [[0, 1, 2, 3], [2, 1, 0, 3], [3, 2, 0, 1], [1, 3, 0, 2]] {
        let world = World::new();
        for which in order {
            world.apply(vec![facts[which].clone()]).await;
        }
        let row = world.get(world.id(number)).await;
        assert_eq!(row.conversation_id, world.id(number), "{order:?}");
        assert_eq!(row.unread_count, 3, "{order:?}");
        assert_eq!(row.wa_id.as_deref(), Some("14155550001"));
        assert_eq!(row.user_id.as_deref(), Some(user));
        assert_eq!(row.contact_name.as_deref(), Some("Name 3"));
        // By its other name, too.
        assert_eq!(world.get(world.id(user)).await, row);
        assert_eq!(
            world
                .test_db
                .query("SELECT count(*) FROM conversations WHERE merged_into IS NULL"),
            ["1"]
        );
    }
}

#[tokio::test]
async fn forms_of_a_brazilian_mobile_are_one_contact_and_landlines_are_not() {
    let world = World::new();
    world
        .apply(vec![accepted(Uuid::now_v7(), "+5511988887777", 1)])
        .await;
    let applied = world
        .apply(vec![received(Uuid::now_v7(), "+551188887777", None, 2)])
        .await;
    assert_eq!(applied.merged.len(), 1);
    assert_eq!(
        world.get(world.id("+5511988887777")).await.conversation_id,
        world.id("+551188887777")
    );
    // What Meta sent stays as it was.
    assert_eq!(
        world
            .test_db
            .query("SELECT identity FROM contact_identities ORDER BY 1"),
        ["+551188887777", "+5511988887777"]
    );

    let landline = [
        accepted(Uuid::now_v7(), "+551144445555", 3),
        accepted(Uuid::now_v7(), "+5511944445555", 4),
    ];
    let applied = world.apply(landline.to_vec()).await;
    assert!(applied.merged.is_empty());
    assert_eq!(applied.conversations.len(), 2);
}

#[tokio::test]
async fn two_holders_become_the_one_who_was_first() {
    let world = World::new();
    let (number, user) = ("+14155550001", "US.1001");
    world
        .apply(vec![
            received(Uuid::now_v7(), user, None, 1),
            received(Uuid::now_v7(), number, None, 2),
        ])
        .await;
    let (first, second) = (world.people[0], world.people[1]);
    for (contact, person) in [(user, first), (number, second)] {
        world
            .with(world.id(contact), move |tx, tenant, row| {
                row.give(tx, tenant, person, Cause::Taken, by(Some(person)))
            })
            .await;
    }
    world
        .apply(vec![received(Uuid::now_v7(), user, Some(number), 3)])
        .await;
    assert_eq!(world.get(world.id(number)).await.holder(), Some(first));
    assert_eq!(
        world.test_db.query(
            "SELECT count(*) FILTER (WHERE status = 'active') || ' of ' || count(*) FROM conversation_assignments"
        ),
        ["1 of 3"]
    );
}

#[tokio::test]
async fn a_merge_is_undone_and_stays_so() {
    let world = World::new();
    let (number, former, now) = ("+14155550001", "US.1001", "US.2002");
    // The number went to somebody else, who has another user id.
    world
        .apply(vec![
            received(Uuid::now_v7(), former, Some(number), 1),
            received(Uuid::now_v7(), now, Some(number), 2),
        ])
        .await;
    let whole = world.get(world.id(number)).await;
    assert_eq!(whole.unread_count, 2);
    let tenant = world.tenant.clone();
    let person = world.people[0];
    let separated = world
        .write(move |tx| {
            let (one, other) = (Identity::of(now), Identity::of(number));
            separate(
                tx,
                &tenant,
                &one,
                &other,
                person,
                Some("sold"),
                chrono::Utc::now(),
            )
            .map_err(|error| DbError::Other(Box::new(error)))
        })
        .await;
    assert_eq!(separated.len(), 1);
    let (old, new) = (
        world.get(world.id(number)).await,
        world.get(world.id(now)).await,
    );
    assert_eq!(new.conversation_id, world.id(now));
    assert_eq!((old.unread_count, new.unread_count), (1, 1));
    assert_eq!(old.user_id.as_deref(), Some(former));
    assert_eq!(new.user_id.as_deref(), Some(now));
    assert_eq!(new.wa_id, None);

    // The same evidence again is known to prove nothing.
    let applied = world
        .apply(vec![received(Uuid::now_v7(), now, Some(number), 3)])
        .await;
    assert!(applied.merged.is_empty());
    assert_eq!(world.get(world.id(now)).await.unread_count, 2);
    assert_eq!(world.get(world.id(number)).await.unread_count, 1);
    assert_eq!(
        world.test_db.query(
            "SELECT cause || ' ' || undo_reason FROM contact_links WHERE undone_at IS NOT NULL"
        ),
        ["seen_together sold"]
    );
}
