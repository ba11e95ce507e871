//! Conversations given by rule: to whom, in which order, on two replicas at once.

use std::collections::BTreeMap;

use portal_test_harness::eventually;
use portal_types::Role;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    conversations::{Colleague, NUMBER, Team, conversation, do_with, look, tell, write},
    world::{World, answer},
};

/// A tenant whose conversations are given by rule, with two replicas of the service.
struct Floor<'a> {
    world: &'a World,
    other: String,
    team: Team<'a>,
    chief: Colleague,
}

impl<'a> Floor<'a> {
    async fn open(world: &'a World, rules: Value) -> Self {
        world.consumers_are_up().await;
        let (other, _) = world.run_service().await;
        let team = Team::of(world);
        let chief = team.join("Chief", Role::Admin);
        let floor = Self {
            world,
            other,
            team,
            chief,
        };
        let rules = floor.put("/api/organization/conversation-rules", &floor.chief, rules);
        assert_eq!(rules.await["assignment"], "automatic");
        floor
    }

    /// Somebody who is signed in.
    fn join(&self, name: &str) -> Colleague {
        let who = self.team.join(name, Role::Agent);
        self.world.db.execute(&format!(
            "INSERT INTO genesys_user_sessions (session_id, tenant_id, user_id, refresh_token_hash, \
               genesys_region, idle_expires_at, expires_at) \
             VALUES (gen_random_uuid(), 'acme_corp', '{}', '\\x00', 'r', now() + interval '1 day', now() + interval '1 day')",
            who.id
        ));
        who
    }

    async fn put(&self, path: &str, who: &Colleague, body: Value) -> Value {
        self.put_at(&self.world.api, path, who, body).await
    }

    async fn put_at(&self, api: &str, path: &str, who: &Colleague, body: Value) -> Value {
        let method = if path.ends_with("rules") {
            Method::PATCH
        } else {
            Method::PUT
        };
        let request = self.world.http.request(method, format!("{api}{path}"));
        let (status, body) = answer(request.bearer_auth(&who.token).json(&body)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn says(&self, who: &Colleague, presence: &str) -> Value {
        let body = json!({"presence": presence});
        self.put("/api/agents/presence", who, body).await
    }

    /// Is offline once this was done to the person's rows.
    async fn offline(&self, who: &Colleague, sql: &str) {
        self.world
            .db
            .execute(&format!("{sql} WHERE user_id = '{}'", who.id));
        let call = self
            .world
            .call(Method::GET, "/api/agents/presence", &who.token);
        assert_eq!(call.await.1["presence"], "offline");
    }

    async fn can_hold(&self, who: &Colleague, capacity: i32) {
        let path = format!("/api/organization/users/{}/capacity", who.id);
        let found = self.put(&path, &self.chief, json!({"capacity": capacity}));
        assert_eq!(found.await["capacity"], capacity);
    }

    /// Contacts write, one after the other.
    async fn arrive(&self, from: u32, to: u32) {
        for n in from..to {
            write(self.world, &contact(n), "hello").await;
        }
        eventually("the messages to be kept", async || {
            let kept = "SELECT count(*) FROM conversation_messages WHERE direction = 'inbound'";
            (self.world.value(kept) == to.to_string()).then_some(())
        })
        .await;
    }

    fn held_by(&self, who: &Colleague) -> Vec<String> {
        self.world.db.query(&format!(
            "SELECT conversation_id::text FROM conversations WHERE assigned_to = '{}' AND status = 'open' \
             ORDER BY first_inbound_at",
            who.id
        ))
    }

    async fn holds(&self, who: &Colleague, expected: &[u32]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|n| conversation(&contact(*n)))
            .collect();
        eventually("somebody to hold just these", async || {
            (self.held_by(who) == expected).then_some(())
        })
        .await;
    }

    fn waiting(&self) -> String {
        self.world
            .value("SELECT count(*) FROM conversations WHERE waiting_since IS NOT NULL")
    }
}

fn contact(n: u32) -> String {
    format!("+1415555{n:04}")
}

fn automatic() -> Value {
    json!({"assignment": "automatic", "default_capacity": 3})
}

/// Somebody of ours wrote to a contact.
async fn reply(world: &World, to: &str) {
    let accepted = json!({
        "message_id": uuid::Uuid::now_v7(), "tenant_id": "acme_corp", "conversation_id": conversation(to),
        "to": to, "type": "text", "sent_by": {"kind": "user", "id": "u"}, "phone_number_id": NUMBER,
        "content": {"text": {"body": "hi"}},
    });
    tell(world, "message.accepted", accepted).await;
    eventually("the answer to be kept", async || {
        let sql = format!(
            "SELECT count(*) FROM conversation_messages WHERE direction = 'outbound' AND conversation_id = '{}'",
            conversation(to)
        );
        (world.value(&sql) == "1").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_waiting_is_given_first_up_to_a_capacity_and_nobody_is_left_over() {
    let world = World::start().await;
    let floor = Floor::open(&world, automatic()).await;
    let (ann, bob) = (floor.join("Ann"), floor.join("Bob"));
    floor.arrive(0, 6).await;
    assert_eq!(floor.waiting(), "6", "nobody said to be available");
    let said = floor.says(&ann, "available").await;
    assert_eq!(
        (&said["presence"], &said["capacity"]),
        (&json!("available"), &json!(3))
    );
    floor.holds(&ann, &[0, 1, 2]).await;

    // Room by closing, by capacity, by somebody who comes; each time the longest waiting is next.
    let first = conversation(&contact(0));
    let (status, _) = do_with(&world, &ann, &first, "close", None).await;
    assert_eq!(status, StatusCode::OK);
    floor.holds(&ann, &[1, 2, 3]).await;
    floor.can_hold(&ann, 4).await;
    floor.holds(&ann, &[1, 2, 3, 4]).await;
    floor.says(&bob, "available").await;
    floor.holds(&bob, &[5]).await;
    // Who came late holds the fewest.
    floor.arrive(6, 8).await;
    floor.holds(&bob, &[5, 6, 7]).await;

    let path = format!("/{}/history", conversation(&contact(5)));
    let (_, history) = look(&world, &floor.chief, &path).await;
    let given = &history["assignments"][0];
    assert_eq!(
        (&given["cause"], &given["reason"]),
        (&json!("automatic"), &json!("automatic"))
    );
    let (_, people) = world
        .call(
            Method::GET,
            "/api/organization/presence",
            &floor.chief.token,
        )
        .await;
    let loads: BTreeMap<_, _> = people["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                (
                    one["load"].as_i64().unwrap(),
                    one["presence"].as_str().unwrap(),
                ),
            )
        })
        .collect();
    assert_eq!(loads["Ann"], (4, "available"));
    assert_eq!(loads["Bob"], (3, "available"));
    assert_eq!(loads["Chief"], (0, "offline"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_leaves_unanswered_waits_as_long_as_before_and_goes_to_others() {
    let world = World::start().await;
    let floor = Floor::open(&world, automatic()).await;
    let (ann, bob) = (floor.join("Ann"), floor.join("Bob"));
    floor.says(&ann, "available").await;
    floor.arrive(0, 2).await;
    floor.holds(&ann, &[0, 1]).await;
    reply(&world, &contact(1)).await;
    let released = world.listen("conversation.released").await;
    // Busy people get no more and keep what they have.
    floor.says(&ann, "busy").await;
    floor.arrive(2, 3).await;
    floor.says(&ann, "away").await;
    floor.holds(&ann, &[1]).await;
    let event = released.next().await;
    assert_eq!(event.envelope["data"]["reason"], "absent");
    assert_eq!(event.envelope["data"]["user_id"], json!(ann.id));
    let order = "SELECT conversation_id::text FROM conversations WHERE waiting_since IS NOT NULL ORDER BY waiting_since";
    assert_eq!(
        world.db.query(order),
        [conversation(&contact(0)), conversation(&contact(2))]
    );
    floor.says(&bob, "available").await;
    floor.holds(&bob, &[0, 2]).await;

    // Who has no session any more is offline; the sweep finds it, without a word of anybody.
    floor.says(&ann, "available").await;
    floor
        .offline(&bob, "UPDATE genesys_user_sessions SET revoked_at = now()")
        .await;
    floor.holds(&ann, &[0, 1, 2]).await;
    // So is who was not heard of for a while.
    floor
        .offline(
            &ann,
            "UPDATE user_presence SET seen_at = now() - interval '2 minutes'",
        )
        .await;
    eventually("the unanswered to wait again", async || {
        (floor.waiting() == "2").then_some(())
    })
    .await;
    floor.holds(&ann, &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_one_away_does_not_get_it_back_while_others_have_room() {
    let world = World::start().await;
    let floor = Floor::open(&world, automatic()).await;
    let (ann, bob) = (floor.join("Ann"), floor.join("Bob"));
    floor.says(&ann, "available").await;
    floor.arrive(0, 1).await;
    floor.holds(&ann, &[0]).await;
    floor.can_hold(&bob, 1).await;
    floor.says(&bob, "available").await;
    let id = conversation(&contact(0));
    do_with(&world, &ann, &id, "release", None).await;
    floor.holds(&bob, &[0]).await;
    // With nobody else there it comes back: nobody is left over.
    floor.says(&ann, "busy").await;
    do_with(&world, &bob, &id, "release", None).await;
    eventually("it to come back", async || {
        let sql = format!(
            "SELECT count(*) FROM conversation_assignments WHERE user_id = '{}'",
            bob.id
        );
        (world.value(&sql) == "2").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_alike_get_alike_shares() {
    let world = World::start().await;
    let floor = Floor::open(
        &world,
        json!({"assignment": "automatic", "default_capacity": 20}),
    )
    .await;
    let people: Vec<_> = ["Ann", "Bob", "Cid"].map(|name| floor.join(name)).into();
    for one in &people {
        floor.says(one, "available").await;
    }
    floor.arrive(0, 20).await;
    eventually("all to be given", async || {
        (floor.waiting() == "0").then_some(())
    })
    .await;
    let mut shares: Vec<_> = people.iter().map(|one| floor.held_by(one).len()).collect();
    shares.sort_unstable();
    assert_eq!(shares, [6, 7, 7]);
}

/// What a round of the model does.
async fn round(
    floor: &Floor<'_>,
    people: &[Colleague],
    dice: &mut StdRng,
    arrived: &mut u32,
) -> Vec<i64> {
    let apis = [floor.world.api.clone(), floor.other.clone()];
    let mut greatest: Vec<i64> = capacities(floor, people);
    let mut doing = Vec::new();
    for (index, one) in people.iter().enumerate() {
        let api = &apis[dice.random_range(0..2)];
        match dice.random_range(0..6) {
            0 | 1 => {
                let word =
                    ["available", "available", "busy", "away", "offline"][dice.random_range(0..5)];
                doing.push(floor.put_at(
                    api,
                    "/api/agents/presence",
                    one,
                    json!({"presence": word}),
                ));
            }
            2 => {
                let capacity = dice.random_range(0..5);
                greatest[index] = greatest[index].max(capacity);
                let path = format!("/api/organization/users/{}/capacity", one.id);
                let (path, chief) = (path.leak(), &floor.chief);
                doing.push(floor.put_at(api, path, chief, json!({"capacity": capacity})));
            }
            _ => {}
        }
    }
    let more = dice.random_range(0..6);
    let closed: Vec<(usize, String)> = people
        .iter()
        .enumerate()
        .flat_map(|(index, one)| floor.held_by(one).into_iter().map(move |id| (index, id)))
        .filter(|_| dice.random_bool(0.4))
        .collect();
    let closing = closed.iter().map(async |(index, id)| {
        // It may have gone to the queue or to another one meanwhile.
        do_with(floor.world, &people[*index], id, "close", None).await
    });
    futures_util::future::join3(
        futures_util::future::join_all(doing),
        futures_util::future::join_all(closing),
        floor.arrive(*arrived, *arrived + more),
    )
    .await;
    *arrived += more;
    greatest
}

fn capacities(floor: &Floor<'_>, people: &[Colleague]) -> Vec<i64> {
    let of = |one: &Colleague| {
        format!(
            "SELECT coalesce(max(capacity), 3) FROM user_presence WHERE user_id = '{}'",
            one.id
        )
    };
    people
        .iter()
        .map(|one| floor.world.value(&of(one)).parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_on_two_replicas_nobody_has_too_much_and_nobody_is_left_over() {
    let world = World::start().await;
    let floor = Floor::open(&world, automatic()).await;
    let people: Vec<_> = ["Ann", "Bob", "Cid", "Dan", "Eve"]
        .map(|name| floor.join(name))
        .into();
    let seed: u64 = rand::random();
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut arrived, mut held) = (0, vec![0; people.len()]);
    for number in 0..25 {
        let greatest = round(&floor, &people, &mut dice, &mut arrived).await;
        eventually("nobody to wait while somebody has room", async || {
            let sql = "SELECT count(*) FROM user_presence p WHERE presence = 'available' AND coalesce(capacity, 3) > \
                (SELECT count(*) FROM conversations c WHERE c.assigned_to = p.user_id AND c.status = 'open')";
            (floor.waiting() == "0" || world.value(sql) == "0").then_some(())
        })
        .await;
        for (index, one) in people.iter().enumerate() {
            let now = i64::try_from(floor.held_by(one).len()).unwrap();
            let most = greatest[index].max(held[index]);
            assert!(now <= most, "seed {seed}, round {number}: {now} of {most}");
            held[index] = now;
        }
    }
    assert!(arrived > 0);
    let more_than_one = "SELECT count(*) FROM (SELECT FROM conversation_assignments WHERE status = 'active' \
        GROUP BY conversation_id HAVING count(*) > 1) t";
    assert_eq!(world.value(more_than_one), "0");
}
