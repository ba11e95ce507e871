//! What goes on writing to a legacy database while it is migrated.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
use portal_bench::Latencies;
use portal_test_harness::TestDb;

use crate::legacy::{AGENTS, ASSIGNMENTS, TENANTS};

/// Each on a connection of its own, so that one that waits keeps no other waiting.
const WRITERS: usize = 4;
/// Of all of them, in a second.
pub(crate) const WRITES: usize = 200;

const STATES: [&str; 4] = ["closed", "active", "transferred", "released"];

/// What the last write of a row says of it.
#[derive(Debug)]
enum Said {
    /// An assignment: its state, and when that was, in milliseconds since the writers began.
    Assignment(&'static str, usize),
    /// An agent: the name.
    Agent(String),
}

/// What one of them did.
#[derive(Debug, Default)]
struct Done {
    latencies: Latencies,
    said: BTreeMap<String, Said>,
}

/// Writers that go on until they are stopped.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Done>>,
}

/// What they did, all in all.
pub(crate) struct Written {
    pub(crate) latencies: Latencies,
    rows: Vec<String>,
}

impl Writers {
    pub(crate) fn start(db: &TestDb) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..WRITERS)
            .map(|writer| {
                let (url, stop) = (db.superuser_url(), Arc::clone(&stop));
                thread::spawn(move || write(&url, writer, &stop))
            })
            .collect();
        Self { stop, threads }
    }

    pub(crate) fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = Latencies::default();
        let mut rows = Vec::new();
        for thread in self.threads {
            let done = thread.join().unwrap();
            latencies.append(done.latencies);
            rows.extend(done.said.iter().map(|(key, said)| match said {
                Said::Assignment(state, at) => format!("({}, '{state}', {at}, NULL)", id(key)),
                Said::Agent(name) => format!("({}, NULL, NULL, '{name}')", id(key)),
            }));
        }
        Written { latencies, rows }
    }
}

impl Written {
    /// How many rows they wrote to.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many of those the organization-level tables do not have as they were written last.
    pub(crate) fn lost(&self, db: &TestDb) -> String {
        db.execute(
            "CREATE SCHEMA bench; CREATE TABLE bench.said (key uuid PRIMARY KEY, state text, at bigint, name text)",
        );
        for rows in self.rows.chunks(1_000) {
            db.execute(&format!(
                "INSERT INTO bench.said (key, state, at, name) VALUES {}",
                rows.join(", ")
            ));
        }
        db.query(&format!(
            "SELECT count(*) FROM bench.said w WHERE CASE WHEN w.name IS NOT NULL THEN \
                 NOT EXISTS (SELECT FROM agent_portal.genesys_users u WHERE u.user_id = w.key AND u.name = w.name) \
             ELSE NOT EXISTS (SELECT FROM agent_portal.conversation_assignments s \
                 JOIN agent_portal.conversations c USING (tenant_id, conversation_id) \
                 WHERE s.assignment_id = w.key AND c.last_activity_at >= {at} \
                   AND CASE WHEN w.state = 'active' THEN s.status = 'active' OR s.end_reason = 'superseded' \
                       ELSE s.status = w.state END \
                   AND (s.ended_at IS NULL OR s.ended_at = {at})) END",
            at = at("w.at")
        ))
        .remove(0)
    }
}

/// The time so many milliseconds after the writers began, by the database's reckoning.
fn at(millis: &str) -> String {
    format!("(timestamp '2026-06-01' + {millis} * interval '1 millisecond') AT TIME ZONE 'UTC'")
}

/// A row's key, by what it is called here.
fn id(key: &str) -> String {
    format!("md5('{key}')::uuid")
}

/// Writes at its pace, also when it fell behind; each writer has rows of its own.
fn write(url: &str, writer: usize, stop: &AtomicBool) -> Done {
    let mut conn = PgConnection::establish(url).unwrap();
    let every =
        Duration::from_secs(1) * u32::try_from(WRITERS).unwrap() / u32::try_from(WRITES).unwrap();
    let begun = Instant::now();
    let mut done = Done::default();
    for n in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep((begun + every * n).saturating_duration_since(Instant::now()));
        let n = usize::try_from(n).unwrap();
        let (key, said, sql) = statement(writer, n);
        let asked = Instant::now();
        let rows = diesel::sql_query(sql).execute(&mut conn).unwrap();
        done.latencies.push(asked.elapsed());
        assert_eq!(rows, 1, "{key}");
        done.said.insert(key, said);
    }
    done
}

/// Of ten writes four add an assignment, four change one, one renames an agent and one adds one.
fn statement(writer: usize, n: usize) -> (String, Said, String) {
    let state = STATES[(n / 10) % STATES.len()];
    let time = format!("timestamp '2026-06-01' + {n} * interval '1 millisecond'");
    // Spread over all rows, and over the writers.
    let place = |rows: usize| (n * 7_919 % (rows / WRITERS)) * WRITERS + writer;
    match n % 10 {
        0..4 => {
            let key = format!("new assignment {writer} {n}");
            let agent = place(AGENTS);
            let sql = format!(
                "INSERT INTO public.agent_conversation_assignments (assignment_id, conversation_id, agent_id, \
                     status, assigned_at, last_activity_at) \
                 VALUES ({}, 'conv-{}-{}', {}, '{state}', {time}, {time})",
                id(&key),
                agent % TENANTS + 1,
                // A new conversation, or an old one.
                if n.is_multiple_of(2) {
                    n * 10 + 1_000_000
                } else {
                    n % 250
                },
                id(&format!("a{}", agent + 1)),
            );
            (key, Said::Assignment(state, n), sql)
        }
        4..8 => {
            let key = format!("s{}", place(ASSIGNMENTS));
            let sql = format!(
                "UPDATE public.agent_conversation_assignments SET status = '{state}', last_activity_at = {time} \
                 WHERE assignment_id = {}",
                id(&key)
            );
            (key, Said::Assignment(state, n), sql)
        }
        8 => {
            let key = format!("a{}", place(AGENTS) + 1);
            let name = format!("Renamed {n}");
            let sql = format!(
                "UPDATE public.agents SET name = '{name}' WHERE agent_id = {}",
                id(&key)
            );
            (key, Said::Agent(name), sql)
        }
        _ => {
            let key = format!("new agent {writer} {n}");
            let name = format!("New {n}");
            let sql = format!(
                "INSERT INTO public.agents (agent_id, tenant_id, email, name) VALUES ({}, 'tenant_{}', \
                     'new-{writer}-{n}@example.com', '{name}')",
                id(&key),
                place(TENANTS) + 1
            );
            (key, Said::Agent(name), sql)
        }
    }
}
