//! Random events and calls, in any order, twice and again from the beginning, against a model that
//! knows nothing of sequences, marks and merges: sets of messages, and what was done to each.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use portal_conversations::{Cause, Evidence, Fact, Pass, What, rebuild};
use portal_types::{ConversationId, UserId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use uuid::Uuid;

use crate::world::{World, accepted, at, by, received, report};

/// Two forms of one mobile, a landline that looks like a third, a number and two user ids.
const NAMES: [&str; 6] = [
    "+551188887777",
    "+5511988887777",
    "+551144445555",
    "+14155550001",
    "US.1001",
    "US.2002",
];

fn facts(rng: &mut StdRng, count: i64) -> Vec<Fact> {
    let mut facts = Vec::new();
    for second in 0..count {
        let id = Uuid::now_v7();
        let name = NAMES[rng.random_range(0..NAMES.len())];
        let second = second * 7 % count;
        match rng.random_range(0..5) {
            0 => {
                facts.push(accepted(id, name, second));
                for step in 0..rng.random_range(0..4) {
                    let time = Some(at(second + step));
                    let mut evidence = Evidence::default();
                    match rng.random_range(0..3) {
                        0 => evidence.sent_at = time,
                        1 => evidence.delivered_at = time,
                        _ => evidence.read_at = time,
                    }
                    facts.push(report(id, evidence));
                }
            }
            1 if name.starts_with("US.") => {
                let number = NAMES[rng.random_range(0..4)];
                facts.push(received(id, name, Some(number), second));
            }
            _ => facts.push(received(id, name, None, second)),
        }
    }
    facts
}

/// A message as the model keeps it.
#[derive(Debug, Clone)]
struct Kept {
    identity: String,
    is_inbound: bool,
    at: DateTime<Utc>,
    is_read: bool,
    is_closed_over: bool,
}

/// What a person did to a contact.
#[derive(Debug, Clone, Default)]
struct Desk {
    is_closed: bool,
    /// The order in which it was taken, and by whom.
    holder: Option<(u32, UserId)>,
}

#[derive(Default)]
struct Model {
    messages: BTreeMap<Uuid, Kept>,
    /// The strongest report: sent, delivered, read.
    reports: BTreeMap<Uuid, u8>,
    /// Who is who: each identity with the first of its group.
    group: BTreeMap<String, String>,
    desks: BTreeMap<String, Desk>,
    takes: u32,
}

impl Model {
    fn meet(&mut self, name: &str) {
        if self.group.contains_key(name) {
            return;
        }
        self.group.insert(name.to_owned(), name.to_owned());
        let variants = [NAMES[0], NAMES[1]];
        if variants.contains(&name) {
            for other in variants {
                if self.group.contains_key(other) {
                    self.join(name, other);
                }
            }
        }
    }

    fn join(&mut self, one: &str, other: &str) {
        let (one, other) = (self.group[one].clone(), self.group[other].clone());
        if one == other {
            return;
        }
        let (first, second) = ((&one).min(&other).clone(), (&one).max(&other).clone());
        for label in self.group.values_mut() {
            if *label == second {
                label.clone_from(&first);
            }
        }
        // A contact who was seen but neither wrote nor was written to has no desk yet.
        let desks = [self.desks.remove(&first), self.desks.remove(&second)];
        let joined = desks.into_iter().flatten().reduce(|one, other| Desk {
            is_closed: one.is_closed && other.is_closed,
            holder: match (one.holder, other.holder) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        });
        if let Some(joined) = joined {
            self.desks.insert(first, joined);
        }
    }

    fn hear(&mut self, fact: &Fact) {
        match &fact.what {
            What::Report(report) => {
                let evidence = &report.evidence;
                let rank = if evidence.read_at.is_some() {
                    3
                } else if evidence.delivered_at.is_some() {
                    2
                } else {
                    1
                };
                let known = self.reports.entry(fact.entry_id).or_default();
                *known = rank.max(*known);
            }
            What::Message(message) => {
                if self.messages.contains_key(&fact.entry_id) {
                    return;
                }
                let name = message.identity.as_str().to_owned();
                self.meet(&name);
                if let Some(also) = &message.also {
                    self.meet(also.as_str());
                    self.join(&name, also.as_str());
                }
                let is_inbound = message.from == portal_conversations::Person::Contact;
                let desk = self.desks.entry(self.group[&name].clone()).or_default();
                desk.is_closed &= !is_inbound;
                self.messages.insert(
                    fact.entry_id,
                    Kept {
                        identity: name,
                        is_inbound,
                        at: message.occurred_at,
                        is_read: false,
                        is_closed_over: false,
                    },
                );
            }
        }
    }

    fn each_of(&mut self, contact: &str, mut change: impl FnMut(&mut Kept)) {
        let group = &self.group;
        for kept in self.messages.values_mut() {
            if group[&kept.identity] == contact {
                change(kept);
            }
        }
    }
}

/// All that a conversation shows, by model or by database.
#[derive(Debug, PartialEq)]
struct Seen {
    id: ConversationId,
    is_open: bool,
    holder: Option<UserId>,
    unread: usize,
    last: Option<Uuid>,
    window: Option<DateTime<Utc>>,
    first_inbound: Option<DateTime<Utc>>,
    waits: bool,
}

fn by_model(world: &World, model: &Model, contact: &str) -> Seen {
    let desk = &model.desks[contact];
    let own = || {
        model
            .messages
            .iter()
            .filter(|(_, kept)| model.group[&kept.identity] == contact)
    };
    let inbound = || own().filter(|(_, kept)| kept.is_inbound);
    let first_inbound = inbound()
        .filter(|(_, kept)| !kept.is_closed_over)
        .map(|(_, kept)| kept.at)
        .min();
    Seen {
        id: world.id(contact),
        is_open: !desk.is_closed,
        holder: desk.holder.map(|(_, user)| user),
        unread: inbound().filter(|(_, kept)| !kept.is_read).count(),
        last: own()
            .max_by_key(|(id, kept)| (kept.at, **id))
            .map(|(id, _)| *id),
        window: inbound()
            .map(|(_, kept)| kept.at + chrono::Duration::hours(24))
            .max(),
        waits: !desk.is_closed && desk.holder.is_none() && first_inbound.is_some(),
        first_inbound,
    }
}

async fn by_database(world: &World, name: &str) -> Seen {
    let row = world.get(world.id(name)).await;
    Seen {
        id: row.conversation_id,
        is_open: row.is_open(),
        holder: row.holder(),
        unread: usize::try_from(row.unread_count).unwrap(),
        last: row.last_message_id,
        window: row.window_expires_at,
        first_inbound: row.first_inbound_at,
        waits: row.waiting_since.is_some(),
    }
}

async fn compare(world: &World, model: &Model, when: &str) {
    for (name, contact) in &model.group {
        let (expected, found) = (
            by_model(world, model, contact),
            by_database(world, name).await,
        );
        assert_eq!(found, expected, "{when}: {name}");
    }
    let contacts: BTreeSet<_> = model.group.values().collect();
    assert_eq!(
        world
            .test_db
            .query("SELECT count(*) FROM conversations WHERE merged_into IS NULL"),
        [contacts.len().to_string()],
        "{when}"
    );
    for (id, kept) in &model.messages {
        let expected = match model.reports.get(id) {
            _ if kept.is_inbound => "received",
            Some(3) => "read",
            Some(2) => "delivered",
            Some(_) => "sent",
            None => "accepted",
        };
        let sql = format!("SELECT status FROM conversation_messages WHERE entry_id = '{id}'");
        assert_eq!(world.test_db.query(&sql), [expected], "{when}");
    }
}

/// Somebody does something with the conversation of a name.
async fn act(world: &World, model: &mut Model, rng: &mut StdRng, name: &str) {
    let (id, contact) = (world.id(name), model.group[name].clone());
    let desk = model.desks[&contact].clone();
    let user = world.people[rng.random_range(0..world.people.len())];
    let doing = by(Some(user));
    match rng.random_range(0..5) {
        0 => {
            world
                .with(id, |tx, tenant, row| row.read(tx, tenant, None))
                .await;
            model.each_of(&contact, |kept| kept.is_read = true);
        }
        1 if !desk.is_closed => {
            world
                .with(id, move |tx, tenant, row| {
                    row.close(tx, tenant, doing).map(drop)
                })
                .await;
            model.each_of(&contact, |kept| kept.is_closed_over = true);
            model.desks.insert(
                contact,
                Desk {
                    is_closed: true,
                    holder: None,
                },
            );
        }
        2 if desk.is_closed => {
            world
                .with(id, move |tx, tenant, row| row.reopen(tx, tenant, doing))
                .await;
            model.desks.get_mut(&contact).unwrap().is_closed = false;
        }
        3 if !desk.is_closed && desk.holder.is_none() => {
            world
                .with(id, move |tx, tenant, row| {
                    row.give(tx, tenant, user, Cause::Taken, doing)
                })
                .await;
            model.takes += 1;
            model.desks.get_mut(&contact).unwrap().holder = Some((model.takes, user));
        }
        _ if desk.holder.is_some() => {
            world
                .with(id, move |tx, tenant, row| {
                    row.release(tx, tenant, doing).map(drop)
                })
                .await;
            model.desks.get_mut(&contact).unwrap().holder = None;
        }
        _ => {}
    }
}

#[tokio::test]
async fn random_events_and_calls_come_to_what_the_model_says() {
    for seed in 0..6 {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = World::new();
        let mut model = Model::default();
        let mut facts = facts(&mut rng, 40);
        facts.shuffle(&mut rng);
        for round in 0..facts.len() {
            // One that is new, and some that were there before.
            let mut batch = vec![facts[round].clone()];
            for _ in 0..rng.random_range(0..3) {
                batch.push(facts[rng.random_range(0..=round)].clone());
            }
            for fact in &batch {
                model.hear(fact);
            }
            world.apply(batch).await;
            let names: Vec<String> = model.group.keys().cloned().collect();
            if !names.is_empty() && rng.random_bool(0.6) {
                let name = names[rng.random_range(0..names.len())].clone();
                act(&world, &mut model, &mut rng, &name).await;
            }
            if round % 10 == 0 {
                compare(&world, &model, &format!("seed {seed}, round {round}")).await;
            }
        }
        compare(&world, &model, &format!("seed {seed}")).await;

        // Again from the beginning, in another order: nothing changes.
        facts.shuffle(&mut rng);
        for batch in facts.chunks(7) {
            let applied = world.apply(batch.to_vec()).await;
            assert!(applied.conversations.is_empty(), "seed {seed}: {applied:?}");
        }
        compare(&world, &model, &format!("seed {seed}, replayed")).await;
        let tenant = world.tenant.clone();
        let step = world
            .write(move |tx| rebuild(tx, &tenant, Pass::Conversations, None, 100, Utc::now()))
            .await;
        assert_eq!(step.differences, [], "seed {seed}");
    }
}

#[tokio::test]
async fn two_replicas_that_apply_the_same_events_at_once_lose_nothing() {
    let mut rng = StdRng::seed_from_u64(99);
    let world = World::new();
    let mut model = Model::default();
    let mut facts = facts(&mut rng, 60);
    for fact in &facts {
        model.hear(fact);
    }
    let mut running = Vec::new();
    for _ in 0..3 {
        facts.shuffle(&mut rng);
        for batch in facts.chunks(5).map(<[Fact]>::to_vec) {
            let (db, tenant) = (world.db.clone(), world.tenant.clone());
            running.push(tokio::spawn(async move {
                loop {
                    let (of, facts) = (tenant.clone(), batch.clone());
                    let done = db
                        .write("test", &tenant, move |tx| {
                            portal_conversations::apply(tx, &of, facts, Utc::now())
                        })
                        .await;
                    match done {
                        Ok(_) => break,
                        // As a consumer does.
                        Err(error) if error.is_transient() => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }));
        }
    }
    for task in running {
        task.await.unwrap();
    }
    compare(&world, &model, "at once").await;
}
