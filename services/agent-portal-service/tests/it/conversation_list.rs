//! What each role finds in the list of conversations, page by page, while rows move.

use std::collections::BTreeSet;

use portal_types::Role;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    conversations::{Colleague, Team, conversation, do_with, has_unread, look, write},
    world::World,
};

fn contact(n: usize) -> String {
    format!("+49170555{n:04}")
}

async fn found(world: &World, who: &Colleague, query: &str) -> Vec<String> {
    let (status, page) = look(world, who, query).await;
    assert_eq!(status, StatusCode::OK, "{query}: {page}");
    ids(&page)
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["conversations"].as_array().unwrap().iter();
    rows.map(|row| row["conversation_id"].as_str().unwrap().to_owned())
        .collect()
}

fn sorted(of: &[usize]) -> BTreeSet<String> {
    of.iter().map(|n| conversation(&contact(*n))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_finds_its_own_by_state_holder_and_words() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let (ann, bob) = (team.join("Ann", Role::Agent), team.join("Bob", Role::Agent));
    let boss = team.join("Boss", Role::Supervisor);
    let texts = [
        "Where is my parcel?",
        "Parcels 77-12 lost, ÄRGER",
        "hello",
        "hello again",
    ];
    for (n, text) in texts.iter().enumerate() {
        write(&world, &contact(n), text).await;
        has_unread(&world, &boss, &contact(n), 1).await;
    }
    for (who, n) in [(&ann, 0), (&bob, 1)] {
        let (status, _) = do_with(&world, who, &conversation(&contact(n)), "assign", None).await;
        assert_eq!(status, StatusCode::OK);
    }
    let (status, _) = do_with(&world, &boss, &conversation(&contact(3)), "close", None).await;
    assert_eq!(status, StatusCode::OK);
    let bob_id = bob.id.to_string();
    let held_by_bob = format!("?assigned={bob_id}");
    for (query, agent, supervisor) in [
        ("", &[0, 2, 3][..], &[0, 1, 2, 3][..]),
        ("?assigned=me", &[0], &[]),
        ("?assigned=none", &[2, 3], &[2, 3]),
        ("?assigned=none&status=open", &[2], &[2]),
        (&held_by_bob, &[], &[1]),
        ("?status=closed", &[3], &[3]),
        ("?q=parcel", &[0], &[0, 1]),
        ("?q=PARCEL%20lost", &[], &[1]),
        ("?q=%C3%A4rger", &[], &[1]),
        ("?q=arcel", &[], &[]),
        // The name, in its middle too, and the number in any spelling.
        ("?q=ada", &[0, 2, 3], &[0, 1, 2, 3]),
        ("?q=da%20hello&status=open", &[2], &[2]),
        ("?q=%2B49%20(0)170%20555-0001", &[], &[1]),
        ("?q=0049170/5550002", &[2], &[2]),
        ("?q=5550003", &[3], &[3]),
        ("?q=nothing", &[], &[]),
    ] {
        for (who, expected) in [(&ann, agent), (&boss, supervisor)] {
            let list: BTreeSet<_> = found(&world, who, query).await.into_iter().collect();
            assert_eq!(list, sorted(expected), "{query}");
        }
    }
    let stranger = team.join_of("globex_inc", "Eve", Role::Admin);
    assert_eq!(found(&world, &stranger, "?q=parcel").await, [""; 0]);
    for (query, field) in [
        ("?q=%20%2B", "q"),
        ("?q=a%20b%20c%20d%20e%20f%20g%20h%20i", "q"),
    ] {
        let (status, refused) = look(&world, &boss, query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(
            refused.to_string().contains(&format!("\"{field}\"")),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_skip_nothing_that_stays_while_others_move_and_cursors_keep_to_their_list() {
    const ALL: usize = 7;
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let (ann, boss) = (
        team.join("Ann", Role::Agent),
        team.join("Boss", Role::Supervisor),
    );
    for n in 0..ALL {
        write(&world, &contact(n), "hello").await;
        has_unread(&world, &boss, &contact(n), 1).await;
    }
    // The last ones first. Two of each page, and after the first page one from the middle moves up.
    let mut list = Vec::new();
    let mut query = "?limit=2&status=open".to_owned();
    let mut cursors = Vec::new();
    loop {
        let (_, page) = look(&world, &ann, &query).await;
        list.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        if cursors.is_empty() {
            write(&world, &contact(2), "again").await;
            has_unread(&world, &boss, &contact(2), 2).await;
        }
        cursors.push(cursor.to_owned());
        query = format!("?limit=2&status=open&cursor={cursor}");
    }
    let expected: Vec<_> = [6, 5, 4, 3, 1, 0].map(|n| conversation(&contact(n))).into();
    assert_eq!(list, expected);
    assert_eq!(
        found(&world, &ann, "?limit=1").await,
        [conversation(&contact(2))]
    );

    let cursor = &cursors[0];
    let stranger = team.join_of("globex_inc", "Eve", Role::Admin);
    let (most, end) = cursor.split_at(cursor.len() - 1);
    let changed = format!("{most}{}", if end == "A" { "B" } else { "A" });
    let id = conversation(&contact(0));
    for (who, query) in [
        (&ann, format!("?status=closed&cursor={cursor}")),
        (&ann, format!("?q=hello&status=open&cursor={cursor}")),
        (&ann, format!("?status=open&cursor={changed}")),
        (&stranger, format!("?status=open&cursor={cursor}")),
        (&ann, format!("/{id}/messages?cursor={cursor}")),
    ] {
        let (status, refused) = look(&world, who, &query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {refused}");
        assert!(refused.to_string().contains("\"cursor\""), "{refused}");
    }
}
