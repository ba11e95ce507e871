//! Load on a running installation, each scenario with a report of ratios.
//!
//! `make bench ARGS="--bench load -- accept"` runs one scenario, without a name all of them. The
//! reports are printed and written to `target/bench-<scenario>.md`.
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark talks to its terminal and stops at what it did not expect"
)]

mod accept;
mod report;

use std::process::ExitCode;

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
    let kept = reports.iter().filter(|report| report.write()).count();
    if kept == reports.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
