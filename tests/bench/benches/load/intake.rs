//! Meta's posts: how fast they are answered while those before them are applied.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use portal_bench::{Load, Request, Round, World};
use portal_sandbox::seed;
use serde_json::{Value, json};

use crate::report::{Report, millis};

const TENANTS: usize = 4;
/// Connections that Meta posts over at once.
const CALLERS: usize = 4;
/// Statuses of a post: as many as Meta joins.
const STATUSES: usize = 1000;
/// Posts of each caller, of each kind.
const POSTS: usize = 10;
/// As large as Meta's posts get.
const LARGEST: usize = 3 * 1024 * 1024;
const WANTED_MEDIAN: Duration = Duration::from_millis(250);
const OK: u16 = 200;

/// One kind of posts after the other, each about messages of its own.
pub(crate) async fn run() -> Report {
    let world = World::prepare(TENANTS).await;
    crate::quiet_sandbox(&world).await;
    let kinds = [
        ("1,000 statuses", CALLERS * POSTS, None),
        ("1,000 statuses in 3 MB", CALLERS * POSTS, Some(LARGEST)),
    ];
    fill(&world, kinds.len());
    let service = world
        .start_service("intake", &[("DELIVERY__ENABLED", "false")])
        .await;
    let load = Load::connect(&service.address, CALLERS).await;
    let mut report = Report::new("intake", "Taking webhooks in");
    report.line(format_args!(
        "{CALLERS} connections with signed posts about messages of {TENANTS} tenants, each post of \
         {STATUSES} statuses and answered once it is stored; what is stored is applied meanwhile.\n"
    ));
    report.line("| posts | each | p50 | p99 | posts a second | all applied after | refused |");
    report.line("|---|---|---|---|---|---|---|");
    let mut medians = Vec::new();
    for (number, (name, posts, size)) in kinds.into_iter().enumerate() {
        // Made before: signing 3 MB takes time of its own.
        let requests: Arc<Vec<Request>> = Arc::new(
            (0..posts)
                .map(|post| signed(&body(number * posts + post, size)))
                .collect(),
        );
        let begun = Instant::now();
        let request = {
            let requests = Arc::clone(&requests);
            move |caller: usize, n: usize| requests[caller * POSTS + n].clone()
        };
        let mut round = load.run_each(POSTS, OK, request).await;
        let applied = wait_until_applied(&world, begun).await;
        report.line(row(name, posts, &mut round, applied));
        medians.push((name, round.latencies.percentile(50), round.bad.len()));
    }
    report.line("");
    for (name, median, refused) in medians {
        report.goal(
            format_args!(
                "{name}: median {}, wanted below {}",
                millis(median),
                millis(WANTED_MEDIAN)
            ),
            median < WANTED_MEDIAN && refused == 0,
        );
    }
    let read = world
        .db
        .query("SELECT count(*) FROM messages WHERE status = 'delivered'");
    let all = kinds.len() * CALLERS * POSTS * STATUSES;
    report.goal(
        format_args!("{} of {all} messages delivered", read[0]),
        read[0] == all.to_string(),
    );
    report
}

/// Messages that Meta has, with wamids that tell their number, and where webhooks go.
fn fill(world: &World, kinds: usize) {
    for (n, tenant) in world.tenants.iter().enumerate() {
        let (id, number) = (&tenant.id, &tenant.phone_number_id);
        let each = kinds * CALLERS * POSTS * STATUSES / TENANTS;
        world.db.execute(&format!(
            "WITH c AS (INSERT INTO tenant_whatsapp_config (config_id, tenant_id, waba_id, \
                 access_token, access_token_last4, access_token_fingerprint) \
                 VALUES (gen_random_uuid(), '{id}', '90000{n:04}', '', '', '') RETURNING config_id) \
             INSERT INTO tenant_whatsapp_numbers (tenant_id, phone_number_id, config_id, \
                 display_phone_number, is_default) \
             SELECT '{id}', '{number}', config_id, '+1 555-0200-{n:04}', true FROM c; \
             INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, \
                 from_number, recipient, type, content, status, wamid, attempts, sent_by_kind, \
                 sent_by, expires_at) \
             SELECT gen_random_uuid(), '{id}', gen_random_uuid(), '{number}', '+1', \
                 '+1' || lpad(i::text, 10, '0'), 'text', \
                 '{{\"text\": {{\"body\": \"Test message\"}}}}', 'sent', 'wamid.' || i, 1, 'user', \
                 '{id}', now() + interval '1 day' \
             FROM generate_series(0, {each} - 1) k, LATERAL (SELECT k * {TENANTS} + {n} AS i) j"
        ));
    }
    world.db.execute("ANALYZE messages");
}

/// The post of this number: what became of messages of all tenants.
fn body(post: usize, size: Option<usize>) -> String {
    // Beside what every status has.
    let padding = "x".repeat(size.map_or(0, |size| size / STATUSES - 400));
    let mut entries: Vec<Vec<Value>> = vec![Vec::new(); TENANTS];
    for n in 0..STATUSES {
        let message = post * STATUSES + n;
        let mut status = json!({
            "id": format!("wamid.{message}"), "status": "delivered",
            "timestamp": (1_750_000_000 + post).to_string(), "recipient_id": format!("1{message:010}"),
            "conversation": {"id": "c", "origin": {"type": "service"}},
            "pricing": {"billable": false, "pricing_model": "PMP", "category": "service"},
        });
        if !padding.is_empty() {
            status["conversation"]["id"] = padding.as_str().into();
        }
        entries[message % TENANTS].push(status);
    }
    let entry: Vec<_> = entries
        .into_iter()
        .enumerate()
        .map(|(n, statuses)| {
            json!({"id": format!("90000{n:04}"), "changes": [{"field": "messages", "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "1", "phone_number_id": format!("91000{n:04}")},
                "statuses": statuses}}]})
        })
        .collect();
    let body = json!({"object": "whatsapp_business_account", "entry": entry}).to_string();
    assert!(body.len() <= LARGEST, "{} bytes", body.len());
    body
}

fn signed(body: &str) -> Request {
    let key = hmac::Key::new(hmac::HMAC_SHA256, seed::APP_SECRET.as_bytes());
    let mut signature = "sha256=".to_owned();
    for byte in hmac::sign(&key, body.as_bytes()).as_ref() {
        write!(signature, "{byte:02x}").unwrap();
    }
    let headers = [("X-Hub-Signature-256", signature.as_str())];
    Request::post("/webhooks/whatsapp", "", &headers, body)
}

async fn wait_until_applied(world: &World, begun: Instant) -> Duration {
    let pending = "SELECT count(*) FROM webhook_intake WHERE state = 'pending'";
    while world.db.query(pending) != ["0"] {
        assert!(
            begun.elapsed() < Duration::from_mins(3),
            "they are not applied"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    begun.elapsed()
}

fn row(name: &str, posts: usize, round: &mut Round, applied: Duration) -> String {
    let refused: usize = round.bad.iter().map(|(_, count)| count).sum();
    format!(
        "| {posts} | {name} | {} | {} | {:.1} | {:.1} s | {refused} |",
        millis(round.latencies.percentile(50)),
        millis(round.latencies.percentile(99)),
        round.per_second(),
        applied.as_secs_f64(),
    )
}
