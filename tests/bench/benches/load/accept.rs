//! Accepting: 64 callers at once against what PostgreSQL commits when each call commits for itself.

use std::time::Duration;

use portal_bench::{Load, PgBench, Request, Round, World};
use portal_test_harness::TestDb;
use serde_json::json;

use crate::report::{Report, millis};

const CALLERS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(8);
const TENANTS: usize = 8;
const WANTED_RATIO: f64 = 2.5;
const WANTED_P99: Duration = Duration::from_millis(30);
const ACCEPTED: u16 = 202;

/// What an acceptance cannot do without: the message, and the event that tells of it.
const TWO_INSERTS: &str = r#"\set contact random(1000000000, 9999999999)
BEGIN;
INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, recipient, type, content, status, sent_by_kind, sent_by, request_id, traceparent, expires_at, next_attempt_at) VALUES (gen_random_uuid(), 'bench0', gen_random_uuid(), '910000000', '+1 555-0200-0000', '+' || :contact, 'text', '{"type": "text", "text": {"body": "Test message", "preview_url": false}}', 'accepted', 'user', '019ab000-0000-7000-8000-000000000000', '019ab000-0000-7000-8000-000000000001', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', now() + interval '1 day', now());
INSERT INTO outbox_events (event_id, service, tenant_id, exchange, routing_key, subject, payload, traceparent) VALUES (gen_random_uuid(), 'outbound_message_service', 'bench0', 'agent-portal.events', 'message.accepted', gen_random_uuid(), '{"id": "019ab000-0000-7000-8000-000000000000", "data": {"to": "+1234567890", "type": "text", "content": {"text": {"body": "Test message", "preview_url": false}, "type": "text"}, "sent_by": {"id": "019ab000-0000-7000-8000-000000000000", "kind": "user"}, "tenant_id": "bench0", "message_id": "019ab000-0000-7000-8000-000000000001", "conversation_id": "019ab000-0000-7000-8000-000000000002"}, "time": "2026-11-25T00:00:00.000000Z", "type": "com.agentportal.message.accepted.v1", "source": "/services/outbound-message-service", "subject": "019ab000-0000-7000-8000-000000000001", "tenantid": "bench0", "dataschema": "https://agentportal.example/schemas/com.agentportal.message.accepted.v1.json", "specversion": "1.0", "datacontenttype": "application/json"}', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
COMMIT;
"#;

/// Rounds in turn: one of ours, one of `pgbench`.
pub(crate) async fn run() -> Report {
    let world = World::prepare(TENANTS).await;
    // A database of its own on the same server: our relay leaves it alone.
    let other = TestDb::new();
    other.execute("INSERT INTO tenants (tenant_id, name) VALUES ('bench0', 'name')");
    let pgbench = PgBench::new(&other, "bench0", TWO_INSERTS);
    let service = world
        .start_service("accept", &[("DELIVERY__ENABLED", "false")])
        .await;
    let load = Load::connect(&service.address, CALLERS).await;
    let tokens: Vec<String> = (0..CALLERS)
        .map(|caller| world.sisters.token(&world.tenants[caller % TENANTS].id))
        .collect();
    let request = move |caller: usize, n: usize| {
        let body = json!({"to": format!("+1{caller:03}{n:07}"), "text": "Test message"});
        let body = body.to_string();
        Request::post("/api/messages/send", &tokens[caller], &[], &body)
    };
    load.run(Duration::from_secs(2), ACCEPTED, request.clone())
        .await;

    let mut ours = Round::default();
    let mut theirs = Vec::new();
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = load.run(ROUND, ACCEPTED, request.clone()).await;
        let published = crate::wait_for_events(&world).await;
        let alone = pgbench.run("simple", CALLERS, ROUND);
        rows.push(format!(
            "| {:.0} | {} | {} | {alone:.0} | {:.2} | {published:.1} s |",
            round.per_second(),
            millis(round.latencies.percentile(50)),
            millis(round.latencies.percentile(99)),
            round.per_second() / alone,
        ));
        ours.append(round);
        theirs.push(alone);
    }
    let prepared = pgbench.run("prepared", CALLERS, ROUND);
    report(ours, &theirs, &rows, prepared)
}

fn report(mut ours: Round, theirs: &[f64], rows: &[String], prepared: f64) -> Report {
    let mut report = Report::new("accept", "Accepting messages");
    report.line(format_args!(
        "{CALLERS} connections, each with a person's token of one of {TENANTS} tenants; revocation \
         list, rate limits, log and traces as delivered; the relay publishes meanwhile. `pgbench` \
         commits the same two rows one transaction at a time with {CALLERS} clients, by its default \
         protocol (with `--protocol prepared` {prepared:.0}/s).\n"
    ));
    report.line("| accepted a second | p50 | p99 | pgbench a second | ratio | events out after |");
    report.line("|---|---|---|---|---|---|");
    for row in rows {
        report.line(row);
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of rounds")]
    let alone = theirs.iter().sum::<f64>() / theirs.len() as f64;
    let ratio = ours.per_second() / alone;
    let p99 = ours.latencies.percentile(99);
    report.line("");
    report.goal(
        format_args!("accepted / pgbench = {ratio:.2}, wanted {WANTED_RATIO}"),
        ratio >= WANTED_RATIO,
    );
    report.goal(
        format_args!("p99 = {}, wanted below {}", millis(p99), millis(WANTED_P99)),
        p99 < WANTED_P99,
    );
    let refused: usize = ours.bad.iter().map(|(_, count)| count).sum();
    report.goal(format_args!("refused: {refused}"), refused == 0);
    report
}
