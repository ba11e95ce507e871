//! A random walk: people and keys of two tenants try the other one's ids at every door of theirs, and
//! nothing foreign comes back: in answers, in events, in logs.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::EventListener;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::doors::{DOORS, Door, ENDS_SESSION, Home, Who};

const CALLS: usize = 10_000;
const WALKERS: usize = 8;
/// Another seed walks another way; this one makes a failure come again.
const SEED: u64 = 20_261_124;

/// All log lines of the process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One side of the walk.
struct Side {
    tenant: &'static str,
    tokens: Vec<(Who, String)>,
    /// Ids by the name of the path parameter that takes them.
    ids: Mutex<BTreeMap<String, Vec<String>>>,
    /// What must never be seen by the other side: ids, names, addresses, numbers, texts.
    marks: Mutex<Vec<String>>,
}

impl Side {
    async fn set_up(world: &Installation, tenant: &'static str) -> Self {
        let is_acme = tenant == "acme_corp";
        let (people, facts) = if is_acme {
            (
                [seed::ACME_AGENT, seed::ACME_SUPERVISOR, seed::ACME_ADMIN].as_slice(),
                [
                    seed::ACME_ORG_ID,
                    seed::ACME_WABA_ID,
                    seed::ACME_PHONE_NUMBER_ID,
                    seed::ACME_TOKEN,
                ],
            )
        } else {
            (
                [seed::GLOBEX_AGENT, seed::GLOBEX_ADMIN].as_slice(),
                [
                    seed::GLOBEX_ORG_ID,
                    seed::GLOBEX_WABA_ID,
                    seed::GLOBEX_PHONE_NUMBER_ID,
                    seed::GLOBEX_TOKEN,
                ],
            )
        };
        let side = Self {
            tenant,
            tokens: Vec::new(),
            ids: Mutex::default(),
            marks: Mutex::new(vec![tenant.to_owned()]),
        };
        for fact in facts {
            side.mark(fact);
        }
        let mut tokens = Vec::new();
        for person in people {
            tokens.push((who(person), world.token(person).await));
            side.mark(person);
        }
        tokens.push((Who::ApiKey, world.api_key(tenant).await));
        for (column, parameter) in [
            ("user_id::text FROM genesys_users", "user_id"),
            ("session_id::text FROM genesys_user_sessions", "session_id"),
            ("key_id::text FROM tenant_api_keys", "key_id"),
        ] {
            let sql = format!("SELECT {column} WHERE tenant_id = '{tenant}'");
            for id in world.db.query(&sql) {
                side.add_id(parameter, &id);
            }
        }
        let side = Self { tokens, ..side };
        for number in 0..20 {
            side.send(world, number).await;
        }
        side
    }

    fn mark(&self, text: &str) {
        self.marks.lock().unwrap().push(text.to_owned());
    }

    fn add_id(&self, parameter: &str, id: &str) {
        self.mark(id);
        let mut ids = self.ids.lock().unwrap();
        ids.entry(parameter.to_owned())
            .or_default()
            .push(id.to_owned());
    }

    fn any_id(&self, parameter: &str, rng: &mut StdRng) -> String {
        let ids = self.ids.lock().unwrap();
        let fitting = ids.get(parameter);
        let any = fitting.or_else(|| ids.values().next()).unwrap();
        any.choose(rng).unwrap().clone()
    }

    /// Its own work: so that there is something to be seen.
    async fn send(&self, world: &Installation, number: u32) {
        let text = format!("Text of {} number {number}", self.tenant);
        let to = format!(
            "+{}{number:07}",
            if self.tenant == "acme_corp" {
                4930
            } else {
                4420
            }
        );
        let (_, token) = self.tokens.first().unwrap();
        let request = world
            .http
            .post(format!("{}/api/messages/send", world.messages_url))
            .bearer_auth(token)
            .json(&json!({"to": to, "text": text}));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let answer: Value = answer.json().await.unwrap();
        self.add_id("message_id", answer["message_id"].as_str().unwrap());
        self.add_id(
            "conversation_id",
            answer["conversation_id"].as_str().unwrap(),
        );
        self.mark(&text);
        self.mark(&to);
    }

    /// What of this side stands in a text, if anything does.
    fn seen_in(&self, text: &str) -> Option<String> {
        let marks = self.marks.lock().unwrap();
        marks
            .iter()
            .find(|mark| text.contains(mark.as_str()))
            .cloned()
    }
}

fn who(email: &str) -> Who {
    match email.split('@').next() {
        Some("admin") => Who::Admin,
        Some("supervisor") => Who::Supervisor,
        _ => Who::Agent,
    }
}

/// One call of `me` with ids of `other`; what came back.
async fn step(
    world: &Installation,
    me: &Side,
    other: &Side,
    doors: &[&Door],
    rng: &mut StdRng,
) -> String {
    let (who, token) = me.tokens.choose(rng).unwrap();
    let open: Vec<_> = doors.iter().filter(|door| door.3.contains(who)).collect();
    let (home, method, path, _) = **open.choose(rng).unwrap();
    let parts = path.split('/').map(|part| match part.strip_prefix('{') {
        Some(name) => other.any_id(name.trim_end_matches('}'), rng),
        None => part.to_owned(),
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let mut request = world
        .http
        .request(method.clone(), format!("{}{path}", home.url(world)))
        .bearer_auth(token);
    if method == Method::GET {
        let names = ["cursor", "to", "q", "user_id", "since", "limit", "offset"];
        if rng.random_bool(0.5) {
            let value = other.any_id(names.choose(rng).unwrap(), rng);
            request = request.query(&[(*names.choose(rng).unwrap(), value)]);
        }
    } else {
        let id = |name: &str, rng: &mut StdRng| other.any_id(name, rng);
        let bodies = [
            json!({}),
            json!({"active": false}),
            json!({"role": "agent"}),
            json!({"to": "+14155550000", "text": "x", "conversation_id": id("conversation_id", rng)}),
            json!({"to_user_id": id("user_id", rng)}),
        ];
        request = request.json(bodies.choose(rng).unwrap());
    }
    let answer = request.send().await.unwrap();
    let is_stream = answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let status = answer.status();
    assert!(
        !status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE,
        "{path}: {status}"
    );
    if is_stream {
        return String::new();
    }
    answer.text().await.unwrap()
}

#[expect(
    clippy::too_many_lines,
    reason = "one walk: the calls, and what they must not have left behind"
)]
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_steps_into_another_tenant_find_nothing() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::INFO)
        .with_writer(log.clone())
        .init();
    let world = Arc::new(Installation::start().await);
    let events = EventListener::start(&world.isolation, "#").await;
    let sides = Arc::new([
        Side::set_up(&world, "acme_corp").await,
        Side::set_up(&world, "globex_inc").await,
    ]);
    let kinds = [Who::Agent, Who::Supervisor, Who::Admin, Who::ApiKey];
    let doors: Vec<&Door> = DOORS
        .iter()
        .filter(|door| door.0 != Home::Tenants && !ENDS_SESSION.contains(&door.2))
        .filter(|door| !door.3.contains(&Who::Anonymous))
        .filter(|door| kinds.iter().any(|who| door.3.contains(who)))
        .collect();

    let walkers = (0..WALKERS).map(|walker| {
        let (world, sides, doors) = (Arc::clone(&world), Arc::clone(&sides), doors.clone());
        tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(SEED + walker as u64);
            let mut leaks = Vec::new();
            for turn in 0..CALLS / WALKERS {
                let mine = usize::from(rng.random_bool(0.5));
                let (me, other) = (&sides[mine], &sides[1 - mine]);
                let body = step(&world, me, other, &doors, &mut rng).await;
                // Ids that were asked for may be named in the refusal; rows may not.
                leaks.extend(
                    other
                        .seen_in(&body)
                        .map(|mark| format!("{}: {mark} in {body}", me.tenant)),
                );
                if turn % 100 == 0 {
                    let number = u32::try_from(walker * 1_000 + turn).unwrap() + 100;
                    me.send(&world, number).await;
                }
            }
            leaks
        })
    });
    let mut leaks = Vec::new();
    for walker in walkers.collect::<Vec<_>>() {
        leaks.extend(walker.await.unwrap());
    }
    assert!(
        leaks.is_empty(),
        "{} leaks, such as {:?}",
        leaks.len(),
        leaks.first()
    );

    let mut count = 0;
    while let Some(event) = events.poll().await {
        count += 1;
        let body = event.envelope.to_string();
        for side in sides
            .iter()
            .filter(|side| event.envelope["tenantid"] != side.tenant)
        {
            assert_eq!(side.seen_in(&body), None, "in {body}");
        }
    }
    assert!(count > 200, "only {count} events");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let mut lines = 0;
    for line in log.lines().filter(|line| line.contains("tenant.id")) {
        lines += 1;
        let [acme, globex] = &*sides;
        let both = acme.seen_in(line).zip(globex.seen_in(line));
        assert_eq!(both, None, "in {line}");
    }
    assert!(lines >= CALLS / 2, "only {lines} lines of tenants");

    // Nothing of the other side was changed, either.
    for (table, condition) in [
        (
            "genesys_users",
            "NOT is_active OR role_override IS NOT NULL",
        ),
        ("genesys_user_sessions", "revoked_at IS NOT NULL"),
        ("tenant_api_keys", "revoked_at IS NOT NULL"),
    ] {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        assert_eq!(world.db.query(&sql), ["0"], "{table}");
    }
}
