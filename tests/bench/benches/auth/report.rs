//! The report of one run.

use std::{fmt::Write as _, fs, path::Path, process::ExitCode};

use serde_json::Value;

/// How many times faster a repeat must be.
const WANTED: f64 = 20.0;

/// Prints what was measured and writes it down; fails when a repeat is too slow. Both halves of the
/// ratio are of the same run, so the machine's speed does not matter.
pub(crate) fn write(measured: &Path, report: &Path) -> ExitCode {
    let read = |name: &str| nanoseconds(measured, name);
    let (Some(first), Some(repeat)) = (read("verify/first"), read("verify/repeat")) else {
        println!("no report: the run was narrowed to some benchmarks");
        return ExitCode::SUCCESS;
    };
    let ratio = first / repeat;
    let mut text =
        String::from("# What it costs to know who calls\n\n| step | mean |\n|---|---|\n");
    for (what, name) in [
        ("verify an access token, first time", "verify/first"),
        ("verify it again", "verify/repeat"),
        (
            "whole step of a request, token seen first",
            "auth-step/first-with-redis",
        ),
        (
            "whole step of a request, token known",
            "auth-step/repeat-with-redis",
        ),
        (
            "the same without the look at the revocation list",
            "auth-step/repeat-without-redis",
        ),
        ("open a sealed secret", "vault_open"),
    ] {
        let time = read(name).map_or("not measured".to_owned(), show);
        writeln!(text, "| {what} | {time} |").unwrap();
    }
    writeln!(
        text,
        "\nA repeat is **{ratio:.0} times** faster than the first time (wanted: at least {WANTED:.0}).\n\n\
         The whole step is what a handler's argument `Caller` costs: header, token, and one round trip \
         to Redis for the session, the person, the tenant and the list's mark."
    )
    .unwrap();
    println!("\n{text}");
    fs::write(report, text).unwrap();
    if ratio >= WANTED {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn nanoseconds(measured: &Path, name: &str) -> Option<f64> {
    let file = measured.join(name).join("new/estimates.json");
    let estimates: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    estimates["mean"]["point_estimate"].as_f64()
}

fn show(nanoseconds: f64) -> String {
    if nanoseconds < 10_000.0 {
        format!("{nanoseconds:.0} ns")
    } else {
        format!("{:.1} µs", nanoseconds / 1_000.0)
    }
}
