//! A backlog over many numbers, from the claim to the published event.

use std::time::{Duration, Instant};

use portal_bench::{Load, Request, World};
use serde_json::json;

use crate::report::Report;

const MESSAGES: usize = 20_000;
const NUMBERS: usize = 40;
const CALLERS: usize = 64;
const WANTED_PER_SECOND: f64 = 2000.0;
const ACCEPTED: u16 = 202;

/// Accepts with a process that does not send, then measures one that does.
pub(crate) async fn run() -> Report {
    let world = World::prepare(NUMBERS).await;
    crate::quiet_sandbox(&world).await;
    let accepting = world
        .start_service("drain-accept", &[("DELIVERY__ENABLED", "false")])
        .await;
    fill(&world, &accepting.address, MESSAGES).await;
    crate::wait_for_events(&world).await;
    accepting.process.stop();

    let begun = Instant::now();
    let sending = world.start_service("drain", &[]).await;
    let mut most_kib = 0;
    let undone = "SELECT count(*) FROM messages WHERE status <> 'sent'";
    while world.db.query(undone) != ["0"] {
        most_kib = most_kib.max(sending.process.resident_kib());
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "it does not drain"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sent = begun.elapsed();
    crate::wait_for_events(&world).await;
    report(&world, sent, begun.elapsed(), most_kib)
}

/// Accepts so many messages, spread over all tenants' numbers and over recipients.
async fn fill(world: &World, address: &str, count: usize) {
    let load = Load::connect(address, CALLERS).await;
    let tokens: Vec<String> = world.tenants.iter().map(|t| t.token.clone()).collect();
    let each = count.div_ceil(CALLERS);
    let request = move |caller: usize, n: usize| {
        let number = caller * each + n;
        let body = json!({"to": format!("+1{number:010}"), "text": "Test message"}).to_string();
        Request::post(
            "/api/messages/send",
            &tokens[number % tokens.len()],
            &[],
            &body,
        )
    };
    let round = load.run_each(each, ACCEPTED, request).await;
    assert!(round.bad.is_empty(), "refused: {:?}", round.bad);
}

fn report(world: &World, sent: Duration, told: Duration, most_kib: u64) -> Report {
    let mut report = Report::new("drain", "Draining a backlog");
    let count = |sql| world.db.query(sql).remove(0);
    let attempts = count("SELECT count(*) FROM message_attempts");
    let events = count("SELECT count(*) FROM outbox_events WHERE routing_key = 'message.sent'");
    let all: f64 = count("SELECT count(*) FROM messages").parse().unwrap();
    let per_second = all / told.as_secs_f64();
    report.line(format_args!(
        "{all} messages of {NUMBERS} tenants with a number each, from the start of the process: attempt \
         committed, Graph call, outcome recorded, event confirmed by the broker. Sent after {:.1} s, all \
         events out after {:.1} s; the process held at most {} MiB.\n",
        sent.as_secs_f64(),
        told.as_secs_f64(),
        most_kib / 1024,
    ));
    report.goal(
        format_args!("{per_second:.0} a second, wanted {WANTED_PER_SECOND:.0}"),
        per_second >= WANTED_PER_SECOND,
    );
    report.goal(
        format_args!("attempts {attempts}, events {events}"),
        attempts == events && attempts == format!("{all:.0}"),
    );
    report
}
