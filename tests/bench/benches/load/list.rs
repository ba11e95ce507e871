//! Lists of conversations: with 100,000 of them as fast as with 100.

use std::time::{Duration, Instant};

use portal_bench::{Latencies, Person, Portal};
use portal_conversations::{Fact, Identity, Message, Person as From, What, apply};
use portal_db::{Db, DbError, DbOptions};
use portal_test_harness::ServiceRole;
use portal_types::{Role, TenantId};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::report::{Report, millis};

const FEW: (&str, usize) = ("bench0", 100);
const MANY: (&str, usize) = ("bench1", 100_000);
/// Events of one transaction, as intake takes them.
const EVENTS: usize = 200;
/// Each question, so many times in turn with few and with many.
const ROUNDS: usize = 200;
const WARM_UP: usize = 20;
const WANTED_RATIO: f64 = 2.0;

/// What is asked for, with the name that the report gives it.
const QUESTIONS: [(&str, &str); 7] = [
    ("first page", "?limit=50"),
    ("open", "?status=open&limit=50"),
    ("of nobody", "?assigned=none&status=open&limit=50"),
    ("own", "?assigned=me&limit=50"),
    ("by number", "?q=%2B1555%20000%200042"),
    ("by name", "?q=Contact42x"),
    ("by a word that all have", "?q=parcel&limit=50"),
];

fn message(n: usize) -> Fact {
    let second = i64::try_from(n).expect("a small number");
    let at = chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time");
    let entry_id = Uuid::now_v7();
    Fact {
        entry_id,
        what: What::Message(Box::new(Message {
            from: From::Contact,
            phone_number_id: "910000000".to_owned(),
            identity: Identity::of(format!("+1555{n:07}")),
            also: None,
            formerly: None,
            name: Some(format!("Contact{n}x")),
            message_type: "text".to_owned(),
            payload: Some(json!({"text": {"body": "Where is my parcel?"}})),
            wamid: Some(format!("w-{entry_id}")),
            context_wamid: None,
            refers_to: None,
            sent_by: None,
            genesys_conversation_id: None,
            occurred_at: at,
            window_expires_at: Some(at + chrono::Duration::hours(24)),
        })),
    }
}

async fn fill(portal: &Portal, (tenant, count): (&str, usize)) {
    let db = Db::new(&DbOptions {
        url: portal.db.url(ServiceRole::AgentPortal).into(),
        pool_size: 1,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(30),
        application_name: "bench",
    });
    let tenant = TenantId::parse(tenant).expect("an id");
    for first in (0..count).step_by(EVENTS) {
        let facts = (first..count.min(first + EVENTS)).map(message).collect();
        let of = tenant.clone();
        let kept: Result<(), DbError> = db
            .write("bench", &tenant, move |tx| {
                apply(tx, &of, facts, chrono::Utc::now()).map(drop)
            })
            .await;
        kept.expect("they are kept");
    }
}

/// Nobody holds half of them; the agent has a tenth of the others.
fn give(portal: &Portal, (tenant, _): (&str, usize), agent: &Person, other: &Person) {
    portal.db.execute(&format!(
        "UPDATE conversations SET assigned_to = CASE WHEN right(contact, 2) < '05' THEN '{}'::uuid \
             ELSE '{}'::uuid END, waiting_since = NULL, free_since = NULL \
         WHERE tenant_id = '{tenant}' AND right(contact, 2) < '50'",
        agent.id, other.id
    ));
}

pub(crate) async fn run() -> Report {
    let portal = Portal::prepare(&[FEW.0, MANY.0]);
    let service = portal.start_replica("list").await;
    let mut sides = Vec::new();
    for size in [FEW, MANY] {
        fill(&portal, size).await;
        let agent = portal.join(size.0, Role::Agent);
        let boss = portal.join(size.0, Role::Supervisor);
        give(&portal, size, &agent, &boss);
        sides.push((agent, boss));
    }
    portal.db.execute("ANALYZE");
    let mut report = Report::new("list", "Lists of conversations");
    report.line(format_args!(
        "`GET /api/conversations` with {} and with {} conversations, {ROUNDS} times each in turn.\n",
        FEW.1, MANY.1
    ));
    report.line("| asked for | by | few, p50 | p99 | many, p50 | p99 | ratio of p50 |");
    report.line("|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for (name, query) in QUESTIONS {
        let [(few_agent, few_boss), (many_agent, many_boss)] = sides.as_slice() else {
            panic!("two sides");
        };
        for (few, many) in [(few_agent, many_agent), (few_boss, many_boss)] {
            let url = format!("http://{}/api/conversations{query}", service.address);
            let (mut few_times, mut many_times) = (Latencies::default(), Latencies::default());
            for round in 0..ROUNDS + WARM_UP {
                let (few, many) = (
                    ask(&portal, &url, few).await,
                    ask(&portal, &url, many).await,
                );
                if round >= WARM_UP {
                    few_times.push(few);
                    many_times.push(many);
                }
            }
            let (few_p50, many_p50) = (few_times.percentile(50), many_times.percentile(50));
            let ratio = many_p50.as_secs_f64() / few_p50.as_secs_f64();
            worst = worst.max(ratio);
            report.line(format_args!(
                "| {name} | {} | {} | {} | {} | {} | {ratio:.2} |",
                few.role,
                millis(few_p50),
                millis(few_times.percentile(99)),
                millis(many_p50),
                millis(many_times.percentile(99)),
            ));
        }
    }
    report.line("");
    report.goal(
        format_args!("largest ratio {worst:.2}, wanted at most {WANTED_RATIO}"),
        worst <= WANTED_RATIO,
    );
    report
}

async fn ask(portal: &Portal, url: &str, who: &Person) -> Duration {
    let begun = Instant::now();
    let answer = portal.http.get(url).bearer_auth(&who.token).send().await;
    let answer = answer.expect("an answer");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    let took = begun.elapsed();
    assert_eq!(status, StatusCode::OK, "{body}");
    let found = body["conversations"].as_array().expect("a list");
    assert!(!found.is_empty() || url.contains("q="), "{url}");
    took
}
