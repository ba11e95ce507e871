//! One number at the highest pace that Meta gives, while acceptance goes on.

use std::time::Duration;

use portal_bench::{Load, Request, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::report::Report;

const PACE: u64 = 1000;
const SECONDS: u64 = 60;
/// Enough that the number is never idle, however few are accepted meanwhile.
const BACKLOG: usize = 64_000;
const FILLERS: usize = 16;
const CALLERS: usize = 4;
const ACCEPTED: u16 = 202;

/// Fills the number's backlog and goes on accepting while it drains.
pub(crate) async fn run() -> Report {
    let world = World::prepare(1).await;
    crate::quiet_sandbox(&world).await;
    let tenant = world.tenants[0].clone();
    let limit = json!({"numbers": {&tenant.phone_number_id: {"per_second": PACE}}});
    world.control(Method::PUT, "pacing", &limit).await;
    world.db.execute(&format!(
        "INSERT INTO sending_numbers (tenant_id, phone_number_id, messages_per_second, checked_at, tracked_since) \
         VALUES ('{}', '{}', {PACE}, now(), NULL)",
        tenant.id, tenant.phone_number_id
    ));
    let service = world.start_service("paced", &[]).await;
    let token = tenant.token.clone();
    let request = move |caller: usize, n: usize| {
        let body = json!({"to": format!("+1{caller:02}{n:08}"), "text": "Test message"});
        Request::post("/api/messages/send", &token, &[], &body.to_string())
    };
    let fill = Load::connect(&service.address, FILLERS).await;
    fill.run_each(BACKLOG / FILLERS, ACCEPTED, request.clone())
        .await;
    let load = Load::connect(&service.address, CALLERS).await;
    let meanwhile = load
        .run(
            Duration::from_secs(SECONDS + 5),
            ACCEPTED,
            move |caller, n| request(caller, n + BACKLOG),
        )
        .await;
    let path = format!(
        "stats?phone_number_id={}&last={}",
        tenant.phone_number_id,
        SECONDS + 10
    );
    let stats = world.control(Method::GET, &path, &Value::Null).await;
    let number = &stats["numbers"][&tenant.phone_number_id];
    report(number, meanwhile.per_second())
}

fn report(number: &Value, accepted_per_second: f64) -> Report {
    let mut report = Report::new("paced", "One number at its highest pace");
    let seconds: Vec<u64> = number["seconds"]
        .as_array()
        .map(|seconds| {
            seconds
                .iter()
                .filter_map(|second| second[1].as_u64())
                .collect()
        })
        .unwrap_or_default();
    // The first and the last are no whole seconds.
    let whole: Vec<u64> = seconds
        .iter()
        .rev()
        .skip(2)
        .take(usize::try_from(SECONDS).unwrap())
        .copied()
        .collect();
    let sum: u64 = whole.iter().sum();
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a benchmark are small"
    )]
    let mean = sum as f64 / whole.len().max(1) as f64;
    report.line(format_args!(
        "{} whole seconds at Meta's side, {accepted_per_second:.0} messages a second accepted meanwhile; \
         slowest second {}, fastest {}, most in any sliding second {}.\n",
        whole.len(),
        whole.iter().min().copied().unwrap_or_default(),
        whole.iter().max().copied().unwrap_or_default(),
        number["peak_per_second"],
    ));
    report.goal(
        format_args!("{mean:.1} a second, wanted 990 to 1000"),
        (990.0..=1000.0).contains(&mean) && whole.len() >= 60,
    );
    let limited = number["limited"].as_u64().unwrap_or(u64::MAX);
    report.goal(
        format_args!("refused for the limit: {limited}"),
        limited == 0,
    );
    report
}
