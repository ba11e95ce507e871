//! The live feed: every reader gets exactly what its role may see, in one order, whatever is cut or
//! restarted meanwhile.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use agent_portal_service::App;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _, connection::SimpleConnection as _};
use portal_service_kit::lifecycle::Shutdown;
use portal_test_harness::{ServiceRole, eventually};
use portal_types::{Role, UserId};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    conversations::{CONTACT, Colleague, Team, conversation, do_with, has_unread, look, write},
    world::{World, answer},
};

const EVENTS: &str = "/api/agents/events";

/// An event as it was read.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    sequence: i64,
    kind: String,
    data: Value,
}

/// A stream of events.
struct Stream {
    answer: Response,
    text: String,
    /// For `Last-Event-ID`.
    last: String,
}

impl Stream {
    async fn try_open(
        http: &reqwest::Client,
        api: &str,
        token: &str,
        last: Option<&str>,
    ) -> Option<Self> {
        let mut request = http
            .get(format!("{api}{EVENTS}"))
            .bearer_auth(token)
            .timeout(Duration::from_mins(2));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let answer = request.send().await.ok()?;
        (answer.status() == StatusCode::OK).then(|| Self {
            answer,
            text: String::new(),
            last: last.unwrap_or_default().to_owned(),
        })
    }

    async fn open(world: &World, api: &str, token: &str, last: Option<&str>) -> Self {
        let stream = Self::try_open(&world.http, api, token, last).await;
        stream.expect("the stream opens")
    }

    /// A stream that begins now, and stands.
    async fn begin(world: &World, api: &str, token: &str) -> Self {
        let mut stream = Self::open(world, api, token, None).await;
        while stream.last.is_empty() {
            assert!(stream.read_block().await.expect("an id").is_none());
        }
        stream
    }

    /// The next block: an event, or an id or a comment alone; nothing at the end of the stream.
    async fn read_block(&mut self) -> Option<Option<Told>> {
        let end = loop {
            if let Some(end) = self.text.find("\n\n") {
                break end;
            }
            let chunk = self.answer.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        };
        let block: String = self.text.drain(..end + 2).collect();
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        if let Some(id) = field("id: ") {
            id.clone_into(&mut self.last);
        }
        let Some(kind) = field("event: ") else {
            return Some(None);
        };
        let (sequence, _) = self.last.split_once('-').unwrap_or_default();
        Some(Some(Told {
            sequence: sequence.parse().unwrap_or_default(),
            kind: kind.to_owned(),
            data: serde_json::from_str(field("data: ").unwrap()).unwrap(),
        }))
    }

    /// The next event; nothing at the end of the stream.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.read_block().await? {
                return Some(told);
            }
        }
    }

    /// Reads up to an event of this kind, that included.
    async fn until(&mut self, kind: &str) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            let told = self.next().await;
            let told = told.unwrap_or_else(|| panic!("ended before {kind}, after {all:?}"));
            let is_it = told.kind == kind;
            all.push(told);
            if is_it {
                return all;
            }
        }
    }
}

fn kinds(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.kind.as_str()).collect()
}

const TO_ALL: &str = "NULL, 'agent', NULL";

/// An event of acme as a use case writes it; `audience` are `user_id`, `min_role` and `lost_by`.
fn happening(audience: &str, kind: &str, data: &Value) -> String {
    format!(
        "INSERT INTO live_events (tenant_id, user_id, min_role, lost_by, type, data) \
         VALUES ('acme_corp', {audience}, '{kind}', '{data}')"
    )
}

fn happen(world: &World, audience: &str, kind: &str) {
    world.db.execute(&happening(audience, kind, &json!({})));
}

fn connect(world: &World) -> PgConnection {
    let url = world.db.url(ServiceRole::AgentPortal);
    let mut connection = PgConnection::establish(&url).unwrap();
    connection
        .batch_execute("SET app.tenant_id = 'acme_corp'")
        .unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_late_is_told_in_its_turn() {
    let world = World::start().await;
    let (second, _) = world.run_service().await;
    let ann = Team::of(&world).join("Ann", Role::Agent);
    let mut stream = Stream::begin(&world, &world.api, &ann.token).await;
    let mut other = Stream::begin(&world, &second, &ann.token).await;
    let mut connection = connect(&world);
    connection.batch_execute("BEGIN").unwrap();
    let late = happening(TO_ALL, "late", &json!({}));
    diesel::sql_query(late).execute(&mut connection).unwrap();
    happen(&world, TO_ALL, "early");
    let early = stream.until("early").await;
    assert_eq!(kinds(&early), ["early"]);
    assert_eq!(other.until("early").await, early);
    connection.batch_execute("COMMIT").unwrap();
    let late = stream.until("late").await;
    assert_eq!(kinds(&late), ["late"]);
    assert_eq!(late[0].sequence, early[0].sequence + 1);
    assert_eq!(other.until("late").await, late);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_nobody_can_go_on_from_are_said() {
    let world = World::start_with(&[("EVENTS__STREAMS_PER_USER", "20")]).await;
    let team = Team::of(&world);
    let ann = team.join("Ann", Role::Agent);
    let eve = team.join_of("globex_inc", "Eve", Role::Admin);
    happen(&world, TO_ALL, "before");
    happen(&world, TO_ALL, "before");
    let place = Stream::begin(&world, &world.api, &ann.token).await.last;
    world.db.execute(
        "INSERT INTO live_events (tenant_id, min_role, type, data) \
         SELECT 'globex_inc', 'agent', 'of.globex', '{}' FROM generate_series(1, 3)",
    );
    let foreign = Stream::begin(&world, &world.api, &eve.token).await.last;
    let reset = async |last: &str, of: &Colleague| {
        let mut stream = Stream::open(&world, &world.api, &of.token, Some(last)).await;
        let told = stream.until("reset").await;
        assert_eq!(kinds(&told), ["reset"]);
        // From here on nothing is missing.
        (told[0].data["reason"].clone(), stream)
    };
    for nonsense in ["x", "7", "1700000000000-1", "999-1700000000000000-agent"] {
        assert_eq!(reset(nonsense, &ann).await.0, "unknown", "{nonsense}");
    }
    // Another tenant's place opens nothing of it, in neither direction.
    let (reason, mut stream) = reset(&foreign.replace("admin", "agent"), &ann).await;
    assert_eq!(reason, "unknown");
    happen(&world, TO_ALL, "after");
    assert_eq!(kinds(&stream.until("after").await), ["after"]);
    let (reason, _) = reset(&place.replace("agent", "admin"), &eve).await;
    assert_eq!(reason, "unknown");
    // Who says to have had more rights than now begins anew.
    let (reason, _) = reset(&place.replace("agent", "admin"), &ann).await;
    assert_eq!(reason, "role_changed");
    // What came after the place is not kept any more.
    world
        .db
        .execute("DELETE FROM live_events WHERE tenant_id = 'acme_corp' AND type = 'before'");
    assert_eq!(reset(&place, &ann).await.0, "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_of_a_quiet_tenant_is_kept_for_those_who_stand_there() {
    let world = World::start().await;
    let ann = Team::of(&world).join("Ann", Role::Agent);
    let mut stream = Stream::begin(&world, &world.api, &ann.token).await;
    happen(&world, TO_ALL, "first");
    happen(&world, TO_ALL, "last");
    stream.until("last").await;
    world.db.execute(
        "UPDATE live_events SET numbered_at = numbered_at - interval '3 days' WHERE type = 'first'",
    );
    // A replica sweeps when it begins.
    let _second = world.run_service().await;
    eventually("the old event to be forgotten", async || {
        let kept = world.db.query("SELECT type FROM live_events");
        (kept == ["last"]).then_some(())
    })
    .await;
    let mut again = Stream::open(&world, &world.api, &ann.token, Some(&stream.last)).await;
    happen(&world, TO_ALL, "news");
    assert_eq!(kinds(&again.until("news").await), ["news"]);
    assert_eq!(kinds(&stream.until("news").await), ["news"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_what_follows_it_is_everything() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let ann = team.join("Ann", Role::Agent);
    write(&world, CONTACT, "Hello").await;
    has_unread(&world, &ann, CONTACT, 1).await;
    let path = format!("{EVENTS}/snapshot?status=open");
    let (status, snapshot) = world.call(Method::GET, &path, &ann.token).await;
    assert_eq!(status, StatusCode::OK, "{snapshot}");
    let (_, page) = look(&world, &ann, "?status=open").await;
    assert_eq!(snapshot["conversations"], page["conversations"]);
    assert_eq!(
        snapshot["conversations"][0]["conversation_id"],
        conversation(CONTACT)
    );
    let other = "+14155550002";
    write(&world, other, "Me, too").await;
    has_unread(&world, &ann, other, 1).await;
    let last = snapshot["last_event_id"].as_str().unwrap();
    assert_eq!(
        last.split_once('-').unwrap().0,
        snapshot["sequence"].to_string()
    );
    let mut stream = Stream::open(&world, &world.api, &ann.token, Some(last)).await;
    let told = stream.until("message.created").await;
    assert_eq!(kinds(&told), ["conversation.changed", "message.created"]);
    for told in told {
        assert_eq!(told.data["conversation_id"], conversation(other));
    }
    let (status, refused) = world
        .call(
            Method::GET,
            &format!("{EVENTS}/snapshot?limit=0"),
            &ann.token,
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_learn_what_they_see_no_more_and_nothing_else_of_it() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let (ann, bob) = (team.join("Ann", Role::Agent), team.join("Bob", Role::Agent));
    let boss = team.join("Boss", Role::Supervisor);
    write(&world, CONTACT, "Hello").await;
    has_unread(&world, &ann, CONTACT, 1).await;
    let id = conversation(CONTACT);
    let mut of_ann = Stream::begin(&world, &world.api, &ann.token).await;
    let mut of_bob = Stream::begin(&world, &world.api, &bob.token).await;
    let mut of_boss = Stream::begin(&world, &world.api, &boss.token).await;
    let (status, taken) = do_with(&world, &ann, &id, "assign", None).await;
    assert_eq!(status, StatusCode::OK, "{taken}");
    let body = json!({"to_user_id": bob.id, "version": taken["version"]});
    let (status, given) = do_with(&world, &ann, &id, "transfer", Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{given}");
    happen(&world, TO_ALL, "end");
    let gone = |version: &Value| json!({"conversation_id": id, "version": version});
    let told = of_ann.until("end").await;
    assert_eq!(
        kinds(&told),
        ["conversation.changed", "conversation.gone", "end"]
    );
    assert_eq!(told[1].data, gone(&given["version"]));
    let told = of_bob.until("end").await;
    assert_eq!(
        kinds(&told),
        ["conversation.gone", "conversation.changed", "end"]
    );
    assert_eq!(told[0].data, gone(&taken["version"]));
    let told = of_boss.until("end").await;
    assert_eq!(
        kinds(&told),
        ["conversation.changed", "conversation.changed", "end"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_role_that_it_was_opened_with() {
    let world = World::start().await;
    let team = Team::of(&world);
    let (ann, boss) = (
        team.join("Ann", Role::Agent),
        team.join("Boss", Role::Admin),
    );
    let mut stream = Stream::begin(&world, &world.api, &ann.token).await;
    let change = world
        .http
        .patch(format!("{}/api/organization/users/{}", world.api, ann.id))
        .bearer_auth(&boss.token)
        .json(&json!({"role": "supervisor"}));
    let (status, body) = answer(change).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    happen(&world, "NULL, 'supervisor', NULL", "for.supervisors");
    let told = stream.until("user.updated").await;
    assert_eq!(kinds(&told), ["user.updated"]);
    assert_eq!(told[0].data["role"], "supervisor");
    let rest = stream.next().await;
    assert!(
        rest.as_ref()
            .is_none_or(|told| told.kind == "session.ended"),
        "{rest:?}"
    );
}

/// Waits until a reader was cut off.
async fn cut_off(world: &World) {
    eventually("the slow reader to be cut off", async || {
        let metrics = world.http.get(format!("{}/metrics", world.api)).send();
        let text = metrics.await.ok()?.text().await.ok()?;
        let counted = text
            .lines()
            .any(|line| line.starts_with("live_feed_slow_readers_total") && line.ends_with(" 1"));
        counted.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_cut_off_and_goes_on_where_it_was() {
    const COUNT: i64 = 400;
    let world = World::start_with(&[("EVENTS__SLOW_READER_SECONDS", "1")]).await;
    let ann = Team::of(&world).join("Ann", Role::Agent);
    let mut slow = Stream::begin(&world, &world.api, &ann.token).await;
    let mut quick = Stream::begin(&world, &world.api, &ann.token).await;
    let start: i64 = slow.last.split_once('-').unwrap().0.parse().unwrap();
    // More than the buffers on the way hold.
    world.db.execute(&format!(
        "INSERT INTO live_events (tenant_id, min_role, type, data) \
         SELECT 'acme_corp', 'agent', 'large', jsonb_build_object('text', repeat('x', 100000)) \
         FROM generate_series(1, {COUNT})"
    ));
    happen(&world, TO_ALL, "end");
    let sequences = |told: &[Told]| told.iter().map(|told| told.sequence).collect::<Vec<_>>();
    let expected: Vec<i64> = (start + 1..=start + COUNT + 1).collect();
    assert_eq!(sequences(&quick.until("end").await), expected);
    // It takes nothing meanwhile, and then finds what was on its way to it.
    let mut told = Vec::new();
    cut_off(&world).await;
    while let Some(next) = slow.next().await {
        told.push(next);
    }
    assert!(told.len() < expected.len(), "it was not cut off");
    let mut again = Stream::open(&world, &world.api, &ann.token, Some(&slow.last)).await;
    told.extend(again.until("end").await);
    assert_eq!(sequences(&told), expected);
}

/// Whom an event of the random run is for.
#[derive(Debug, Clone, Copy)]
enum For {
    All,
    Supervisors,
    Admins,
    One(UserId),
    OneAndSupervisors(UserId),
    LostBy(UserId),
    LostByOthers(UserId),
}

impl For {
    fn random(random: &mut StdRng, people: &[UserId]) -> Self {
        let person = people[random.random_range(0..people.len())];
        match random.random_range(0..7) {
            0 => Self::Supervisors,
            1 => Self::Admins,
            2 => Self::One(person),
            3 => Self::OneAndSupervisors(person),
            4 => Self::LostBy(person),
            5 => Self::LostByOthers(person),
            _ => Self::All,
        }
    }

    fn columns(self) -> String {
        match self {
            Self::All => TO_ALL.to_owned(),
            Self::Supervisors => "NULL, 'supervisor', NULL".to_owned(),
            Self::Admins => "NULL, 'admin', NULL".to_owned(),
            Self::One(user) => format!("'{user}', 'agent', NULL"),
            Self::OneAndSupervisors(user) => format!("'{user}', 'supervisor', NULL"),
            Self::LostBy(user) => format!("'{user}', 'agent', 'user'"),
            Self::LostByOthers(user) => format!("'{user}', 'agent', 'others'"),
        }
    }

    fn is_seen_by(self, user: UserId, role: Role) -> bool {
        match self {
            Self::All => true,
            Self::Supervisors => role >= Role::Supervisor,
            Self::Admins => role == Role::Admin,
            Self::One(only) => only == user,
            Self::OneAndSupervisors(also) => also == user || role >= Role::Supervisor,
            Self::LostBy(loser) => loser == user && role == Role::Agent,
            Self::LostByOthers(keeper) => keeper != user && role == Role::Agent,
        }
    }
}

/// Two replicas; one after the other is stopped, and another one takes its place.
struct Replicas {
    apis: Mutex<Vec<String>>,
}

impl Replicas {
    fn any(&self, random: &mut StdRng) -> String {
        let apis = self.apis.lock().unwrap();
        apis[random.random_range(0..apis.len())].clone()
    }
}

fn begin_replica(world: &World) -> (String, Shutdown) {
    let stop = Shutdown::new();
    let app = App::build(&world.settings(), stop.clone()).unwrap();
    let api = format!("http://{}", app.api_addr());
    tokio::spawn(app.run_until_stopped());
    (api, stop)
}

/// Reads up to the end, is cut off now and then, and comes back to any replica.
async fn read_with_cuts(
    http: reqwest::Client,
    replicas: Arc<Replicas>,
    token: String,
    mut stream: Stream,
    mut random: StdRng,
) -> Vec<Told> {
    let mut all = Vec::new();
    loop {
        let patience = random.random_range(1..60);
        for _ in 0..patience {
            let Some(told) = stream.next().await else {
                break;
            };
            let is_end = told.kind == "end";
            all.push(told);
            if is_end {
                return all;
            }
        }
        let last = stream.last.clone();
        stream = loop {
            let api = replicas.any(&mut random);
            if let Some(stream) = Stream::try_open(&http, &api, &token, Some(&last)).await {
                break stream;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
    }
}

/// Four writers, whose transactions overlap; some are rolled back.
fn write_events(
    world: &World,
    people: &[UserId],
    seed: u64,
    per_writer: usize,
) -> (Vec<std::thread::JoinHandle<()>>, Arc<Mutex<Vec<For>>>) {
    let written: Arc<Mutex<Vec<For>>> = Arc::default();
    let writers = (0..4).map(|writer| {
        let mut connection = connect(world);
        let mut random = StdRng::seed_from_u64(seed + writer);
        let (people, written) = (people.to_vec(), Arc::clone(&written));
        std::thread::spawn(move || {
            for _ in 0..per_writer {
                let audience = For::random(&mut random, &people);
                let n = {
                    let mut written = written.lock().unwrap();
                    written.push(audience);
                    written.len() - 1
                };
                let insert = happening(&audience.columns(), "random", &json!({"n": n}));
                connection.batch_execute("BEGIN").unwrap();
                if random.random_range(0..10) == 0 {
                    let lost = happening(TO_ALL, "rolled.back", &json!({"n": n}));
                    connection.batch_execute(&lost).unwrap();
                    connection.batch_execute("ROLLBACK; BEGIN").unwrap();
                }
                connection.batch_execute(&insert).unwrap();
                std::thread::sleep(Duration::from_millis(random.random_range(0..30)));
                connection.batch_execute("COMMIT").unwrap();
            }
        })
    });
    (writers.collect(), written)
}

const READERS: usize = 50;

/// Readers of these people, at any replica; all of them stand.
async fn begin_readers(
    world: &World,
    replicas: &Arc<Replicas>,
    people: &[(Colleague, Role)],
    random: &mut StdRng,
) -> Vec<tokio::task::JoinHandle<Vec<Told>>> {
    let stand = Arc::new(Barrier::new(READERS + 1));
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let (http, replicas) = (world.http.clone(), Arc::clone(replicas));
            let token = people[n % people.len()].0.token.clone();
            let mut random = StdRng::seed_from_u64(random.next_u64());
            let stand = Arc::clone(&stand);
            tokio::spawn(async move {
                let api = replicas.any(&mut random);
                let mut stream = Stream::try_open(&http, &api, &token, None).await.unwrap();
                while stream.last.is_empty() {
                    stream.read_block().await.unwrap();
                }
                stand.wait().await;
                read_with_cuts(http, replicas, token, stream, random).await
            })
        })
        .collect();
    stand.wait().await;
    readers
}

/// The random events in the order of their numbers.
fn order_of(world: &World) -> Vec<(i64, usize)> {
    world
        .db
        .query(
            "SELECT sequence || ' ' || (data ->> 'n') FROM live_events \
             WHERE type = 'random' ORDER BY sequence",
        )
        .iter()
        .map(|line| {
            let (sequence, n) = line.split_once(' ').unwrap();
            (sequence.parse().unwrap(), n.parse().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_reader_ends_with_exactly_what_it_may_see_in_order() {
    const PER_WRITER: usize = 150;
    let seed = rand::rng().next_u64() >> 8;
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::start().await;
    let people: Vec<(Colleague, Role)> = {
        let team = Team::of(&world);
        let roles = [
            Role::Agent,
            Role::Agent,
            Role::Agent,
            Role::Supervisor,
            Role::Admin,
        ];
        let all = roles.iter().cycle().take(READERS / 5);
        all.map(|role| (team.join("Reader", *role), *role))
            .collect()
    };
    let ids: Vec<UserId> = people.iter().map(|(person, _)| person.id).collect();
    world.stop_service();
    let mut running = vec![begin_replica(&world), begin_replica(&world)];
    for (api, _) in &running {
        world.is_ready(api).await;
    }
    let replicas = Arc::new(Replicas {
        apis: Mutex::new(running.iter().map(|(api, _)| api.clone()).collect()),
    });

    let readers = begin_readers(&world, &replicas, &people, &mut random).await;

    let (writers, written) = write_events(&world, &ids, seed, PER_WRITER);
    let mut place = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        tokio::time::sleep(Duration::from_millis(random.random_range(200..700))).await;
        let next = begin_replica(&world);
        world.is_ready(&next.0).await;
        replicas.apis.lock().unwrap()[place].clone_from(&next.0);
        std::mem::replace(&mut running[place], next).1.stop();
        place = 1 - place;
    }
    for writer in writers {
        writer.join().unwrap();
    }
    happen(&world, TO_ALL, "end");

    let mut told = Vec::new();
    for reader in readers {
        told.push(reader.await.unwrap());
    }
    let order = order_of(&world);
    let written = written.lock().unwrap().clone();
    assert_eq!(order.len(), written.len());
    for (reader, told) in told.iter().enumerate() {
        let (person, role) = &people[reader % people.len()];
        let may_see = |(_, n): &&(i64, usize)| written[*n].is_seen_by(person.id, *role);
        let expected: Vec<_> = order.iter().filter(may_see).copied().collect();
        let (end, told) = told.split_last().unwrap();
        assert_eq!(end.kind, "end");
        let read = told.iter().map(|told| {
            let n = told.data["n"].as_u64().unwrap();
            (told.sequence, usize::try_from(n).unwrap())
        });
        let read: Vec<_> = read.collect();
        assert_eq!(read, expected, "reader {reader}, {role}, seed {seed}");
    }
    for (_, stop) in running {
        stop.stop();
    }
}
