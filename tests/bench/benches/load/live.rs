//! The live feed: how long after a commit its readers have the event.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portal_bench::{Latencies, Person, Portal};
use portal_test_harness::ServiceRole;
use portal_types::Role;
use secrecy::SecretString;
use tokio::sync::Barrier;

use crate::report::{Report, millis};

const TENANT: &str = "bench0";
const READERS: usize = 50;
/// Streams of one person.
const STREAMS: usize = 5;
const PER_SECOND: usize = 200;
const SECONDS: usize = 30;
const EVENTS: usize = PER_SECOND * SECONDS;
const WANTED_P99: Duration = Duration::from_millis(250);

/// What a reader got.
struct Got {
    latencies: Latencies,
    sequences: Vec<i64>,
    numbers: Vec<usize>,
}

/// Whom every tenth event is for: nobody below this role.
fn least(n: usize) -> Role {
    match n % 10 {
        0 => Role::Admin,
        1 | 2 => Role::Supervisor,
        _ => Role::Agent,
    }
}

/// Two replicas with 25 readers each; events are committed by neither of them.
pub(crate) async fn run() -> Report {
    let portal = Portal::prepare(&[TENANT]);
    let replicas = [
        portal.start_replica("live-1").await,
        portal.start_replica("live-2").await,
    ];
    let roles = [
        Role::Agent,
        Role::Agent,
        Role::Agent,
        Role::Supervisor,
        Role::Admin,
    ];
    let people: Vec<Person> = (0..READERS / STREAMS)
        .map(|n| portal.join(TENANT, roles[n % roles.len()]))
        .collect();
    let stand = Arc::new(Barrier::new(READERS + 1));
    let start = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let url = format!(
                "http://{}/api/agents/events",
                replicas[n % replicas.len()].address
            );
            let request = portal.http.get(url).bearer_auth(&people[n / STREAMS].token);
            let request = request.timeout(Duration::from_mins(5));
            tokio::spawn(read(request, Arc::clone(&stand), start))
        })
        .collect();
    stand.wait().await;
    let writing = commit_all(&portal, start);
    let committed = writing.await.expect("the writer ends");
    let mut all = Latencies::default();
    let mut wrong = 0;
    for (n, reader) in readers.into_iter().enumerate() {
        let got = reader.await.expect("the reader ends");
        let role = people[n / STREAMS].role;
        let expected: Vec<usize> = (0..EVENTS).filter(|n| role >= least(*n)).collect();
        let is_in_order = got.sequences.is_sorted_by(|a, b| a < b);
        wrong += usize::from(got.numbers != expected || !is_in_order);
        all.append(got.latencies);
    }
    report(all, committed, wrong)
}

fn report(mut all: Latencies, committed: Duration, wrong: usize) -> Report {
    let mut report = Report::new("live", "The live feed");
    report.line(format_args!(
        "{EVENTS} events in {:.1} s, each committed by itself in another process, and {READERS} readers at two \
         replicas: {} deliveries. From before the commit until a reader has the event: p50 {}, p90 {}.\n",
        committed.as_secs_f64(),
        all.len(),
        millis(all.percentile(50)),
        millis(all.percentile(90)),
    ));
    let p99 = all.percentile(99);
    report.goal(
        format_args!("p99 = {}, wanted below {}", millis(p99), millis(WANTED_P99)),
        p99 < WANTED_P99,
    );
    report.goal(
        format_args!("readers without exactly what they may see, in order: {wrong}"),
        wrong == 0,
    );
    report
}

/// Commits the events at their times, then one that ends the run.
fn commit_all(portal: &Portal, start: Instant) -> tokio::task::JoinHandle<Duration> {
    let url: SecretString = portal.db.url(ServiceRole::AgentPortal).into();
    let db = portal_db::Db::new(&portal_db::DbOptions {
        url,
        pool_size: 1,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(10),
        application_name: "bench",
    });
    let tenant = portal_types::TenantId::parse(TENANT).expect("an id");
    tokio::spawn(async move {
        let begun = Instant::now();
        let every = Duration::from_secs(1) / u32::try_from(PER_SECOND).expect("a small number");
        let mut tick = tokio::time::interval(every);
        for n in 0..=EVENTS {
            tick.tick().await;
            let role = if n == EVENTS { Role::Agent } else { least(n) };
            let kind = if n == EVENTS { "end" } else { "bench" };
            let sql = format!(
                "INSERT INTO live_events (tenant_id, min_role, type, data) \
                 VALUES ('{TENANT}', '{role}', '{kind}', '{{\"n\": {n}, \"at\": {}}}')",
                start.elapsed().as_micros()
            );
            let committed: Result<(), portal_db::DbError> = db
                .write("bench", &tenant, move |tx| {
                    diesel::RunQueryDsl::execute(diesel::sql_query(sql), tx.conn())?;
                    Ok(())
                })
                .await;
            committed.expect("it is committed");
        }
        begun.elapsed()
    })
}

async fn read(request: reqwest::RequestBuilder, stand: Arc<Barrier>, start: Instant) -> Got {
    let mut answer = request.send().await.expect("the stream opens");
    assert!(answer.status().is_success(), "{}", answer.status());
    let mut got = Got {
        latencies: Latencies::default(),
        sequences: Vec::new(),
        numbers: Vec::new(),
    };
    let mut stand = Some(stand);
    let mut text = String::new();
    while let Some(chunk) = answer.chunk().await.expect("the stream goes on") {
        let now = start.elapsed();
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
        while let Some(end) = text.find("\n\n") {
            let block: String = text.drain(..end + 2).collect();
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(_), Some(stand)) =
                (field("id: "), stand.take_if(|_| field("id: ").is_some()))
            {
                stand.wait().await;
            }
            match field("event: ") {
                Some("end") => return got,
                Some("bench") => got.note(field("id: "), field("data: "), now),
                Some(other) => panic!("{other}"),
                None => {}
            }
        }
    }
    panic!("the stream ended");
}

impl Got {
    fn note(&mut self, id: Option<&str>, data: Option<&str>, now: Duration) {
        let sequence = id.and_then(|id| id.split('-').next()).expect("an id");
        let data: serde_json::Value = serde_json::from_str(data.expect("data")).expect("JSON");
        let micros = data["at"].as_u64().expect("a time");
        let n = data["n"].as_u64().expect("a number");
        self.sequences.push(sequence.parse().expect("a sequence"));
        self.numbers
            .push(usize::try_from(n).expect("a small number"));
        self.latencies
            .push(now.saturating_sub(Duration::from_micros(micros)));
    }
}
