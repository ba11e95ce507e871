//! Conversations made anew from 100,000 messages, and held against what was kept of the same ones.

use std::time::{Duration, Instant};

use portal_conversations::{Evidence, Fact, Identity, Message, Pass, Person, What, apply, rebuild};
use portal_db::{Db, DbError, DbOptions};
use portal_test_harness::{ServiceRole, TestDb};
use portal_types::TenantId;
use serde_json::json;
use uuid::Uuid;

use crate::report::Report;

const MESSAGES: usize = 100_000;
const CONTACTS: usize = 1_000;
const NUMBER: &str = "910000000";
/// As `portalctl conversations rebuild` takes them.
const ROWS: i64 = 500;
/// Events of one transaction, as intake takes them.
const EVENTS: usize = 200;

/// As outbound-message-service has them: half from contacts, half ours, which were sent.
const FILL: &str = "
INSERT INTO inbound_messages (inbound_id, tenant_id, phone_number_id, wamid, conversation_id, contact, wa_id,
        profile_name, type, payload, sent_at, received_at)
    SELECT m.id, 'bench0', '910000000', 'w-' || m.id, gen_random_uuid(), '+1555' || lpad((m.n % 1000)::text, 7, '0'),
        '1555' || lpad((m.n % 1000)::text, 7, '0'), 'Ada', 'text', '{\"text\": {\"body\": \"Where is my parcel?\"}}',
        to_timestamp(1800000000 + m.n), now()
    FROM bench_messages m WHERE m.n % 2 = (m.n / 1000) % 2;
INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, recipient, type, content,
        status, sent_by_kind, sent_by, expires_at, accepted_at)
    SELECT m.id, 'bench0', gen_random_uuid(), '910000000', '+1', '+1555' || lpad((m.n % 1000)::text, 7, '0'), 'text',
        '{\"text\": {\"body\": \"It is on its way.\"}}', 'sent', 'user', 'u', now(), to_timestamp(1800000000 + m.n)
    FROM bench_messages m WHERE m.n % 2 <> (m.n / 1000) % 2;
INSERT INTO message_status_events (status_event_id, tenant_id, message_id, status, source, changed_status,
        occurred_at, wamid)
    SELECT gen_random_uuid(), 'bench0', message_id, 'sent', 'graph', true, accepted_at + interval '1 second',
        'w-' || message_id
    FROM messages;
ANALYZE;";

fn facts(n: usize, id: Uuid) -> Vec<Fact> {
    let is_theirs = n % 2 == (n / CONTACTS) % 2;
    let second = i64::try_from(n).expect("a small number");
    let at = chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time");
    let body = if is_theirs {
        "Where is my parcel?"
    } else {
        "It is on its way."
    };
    let message = Message {
        from: if is_theirs {
            Person::Contact
        } else {
            Person::Us
        },
        phone_number_id: NUMBER.to_owned(),
        identity: Identity::of(format!("+1555{:07}", n % CONTACTS)),
        also: None,
        formerly: None,
        name: is_theirs.then(|| "Ada".to_owned()),
        message_type: "text".to_owned(),
        payload: Some(json!({"text": {"body": body}})),
        wamid: is_theirs.then(|| format!("w-{id}")),
        context_wamid: None,
        refers_to: None,
        sent_by: None,
        genesys_conversation_id: None,
        occurred_at: at,
        window_expires_at: is_theirs.then(|| at + chrono::Duration::hours(24)),
    };
    let mut facts = vec![Fact {
        entry_id: id,
        what: What::Message(Box::new(message)),
    }];
    if !is_theirs {
        let evidence = Evidence {
            sent_at: Some(at + chrono::Duration::seconds(1)),
            ..Evidence::default()
        };
        let wamid = Some(format!("w-{id}"));
        facts.push(Fact {
            entry_id: id,
            what: What::Report(Box::new(portal_conversations::Report { evidence, wamid })),
        });
    }
    facts
}

/// Kept first, as events come; then held against the messages, and made anew from nothing.
pub(crate) async fn run() -> Report {
    let world = TestDb::new();
    world.execute(
        "INSERT INTO tenants (tenant_id, name) VALUES ('bench0', 'name'); \
         CREATE TABLE bench_messages (n integer PRIMARY KEY, id uuid NOT NULL)",
    );
    let ids: Vec<Uuid> = (0..MESSAGES).map(|_| Uuid::now_v7()).collect();
    for (chunk, ids) in ids.chunks(1_000).enumerate() {
        let rows: Vec<String> = (chunk * 1_000..)
            .zip(ids)
            .map(|(n, id)| format!("({n}, '{id}')"))
            .collect();
        world.execute(&format!(
            "INSERT INTO bench_messages VALUES {}",
            rows.join(", ")
        ));
    }
    world.execute(FILL);
    let db = Db::new(&DbOptions {
        url: world.url(ServiceRole::Owner).into(),
        pool_size: 1,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(30),
        application_name: "bench",
    });
    let tenant = TenantId::parse("bench0").expect("an id");
    let begun = Instant::now();
    for (chunk, ids) in ids.chunks(EVENTS).enumerate() {
        let all = (chunk * EVENTS..)
            .zip(ids)
            .flat_map(|(n, id)| facts(n, *id))
            .collect();
        let of = tenant.clone();
        db.write("bench", &tenant, move |tx| {
            apply(tx, &of, all, chrono::Utc::now()).map(drop)
        })
        .await
        .expect("they are kept");
    }
    let kept = begun.elapsed();
    let (held, different) = rebuild_all(&db, &tenant).await;
    world.execute("DELETE FROM conversation_messages");
    let (anew, lost) = rebuild_all(&db, &tenant).await;
    let (_, after) = rebuild_all(&db, &tenant).await;
    let mut report = Report::new("rebuild", "Making conversations anew");
    report.line(format_args!(
        "{MESSAGES} messages with {CONTACTS} contacts, in parts of {ROWS} rows; kept from events in {:.1} s.\n",
        kept.as_secs_f64()
    ));
    report.line(format_args!(
        "- held against the messages: {:.1} s",
        held.as_secs_f64()
    ));
    report.line(format_args!(
        "- made anew after all were lost: {:.1} s",
        anew.as_secs_f64()
    ));
    report.goal(
        format_args!("differences from what was kept: {different}"),
        different == 0,
    );
    report.goal(
        format_args!("made anew: {lost} of {MESSAGES}"),
        lost == MESSAGES,
    );
    report.goal(format_args!("differences afterwards: {after}"), after == 0);
    report
}

async fn rebuild_all(db: &Db, tenant: &TenantId) -> (Duration, usize) {
    let begun = Instant::now();
    let mut differences = 0;
    for pass in [Pass::Inbound, Pass::Outbound, Pass::Conversations] {
        let mut after = None;
        loop {
            let of = tenant.clone();
            let step = db
                .write("bench", tenant, move |tx| {
                    rebuild(tx, &of, pass, after, ROWS, chrono::Utc::now())
                })
                .await
                .map_err(|error: DbError| error.to_string())
                .expect("it is made anew");
            differences += step.differences.len();
            after = step.next;
            if after.is_none() {
                break;
            }
        }
    }
    (begun.elapsed(), differences)
}
