//! Load on a running installation, each scenario with a report of ratios.
//!
//! `make bench ARGS="--bench load -- accept"` runs one scenario, without a name all of them. The
//! reports are printed and written to `target/bench-<scenario>.md`.
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark talks to its terminal and stops at what it did not expect"
)]

mod accept;
mod drain;
mod fair;
mod files;
mod intake;
mod legacy;
mod list;
mod live;
mod memory;
mod migrate;
mod paced;
mod rebuild;
mod report;
mod writers;

use std::{process::ExitCode, time::Duration};

use portal_bench::World;
use serde_json::json;

use report::Report;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    let mut reports: Vec<Report> = Vec::new();
    if is_asked("accept") {
        reports.push(accept::run().await);
    }
    if is_asked("drain") {
        reports.push(drain::run().await);
    }
    if is_asked("paced") {
        reports.push(paced::run().await);
    }
    if is_asked("fair") {
        reports.push(fair::run().await);
    }
    if is_asked("intake") {
        reports.push(intake::run().await);
    }
    if is_asked("list") {
        reports.push(list::run().await);
    }
    if is_asked("live") {
        reports.push(live::run().await);
    }
    if is_asked("rebuild") {
        reports.push(rebuild::run().await);
    }
    if is_asked("migrate") {
        reports.push(migrate::run().await);
    }
    if is_asked("files") {
        reports.push(files::run().await);
    }
    if is_asked("memory") {
        reports.push(memory::run().await);
    }
    let kept = reports.iter().filter(|report| report.write()).count();
    if kept == reports.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Lets the sandbox keep little of each call and send no webhooks: it shares the machine.
async fn quiet_sandbox(world: &World) {
    let put = reqwest::Method::PUT;
    world
        .control(put.clone(), "journal", &json!({"detail": false}))
        .await;
    world
        .control(put, "faults", &json!({"webhooks_off": true}))
        .await;
}

/// Waits until the relay has published all that was committed; answers how many seconds that took.
async fn wait_for_events(world: &World) -> f64 {
    let begun = std::time::Instant::now();
    let waiting =
        "SELECT count(*) FROM (SELECT 1 FROM outbox_events WHERE published_at IS NULL LIMIT 1) w";
    while world.db.query(waiting) != ["0"] {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    begun.elapsed().as_secs_f64()
}
