//! The command line as an operator uses it, against a real server.
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod admin;
mod audit;
mod backup;
mod beside_legacy;
mod check_agents;
mod conversations;
mod db;
mod decisions;
mod doctor;
mod fingerprint;
mod guide;
mod import;
mod inspect;
mod legacy;
mod messages;
mod patience;
mod restore;
mod signing_keys;
mod tenants;
mod vault;

use std::process::{Command, Output};

/// Runs portalctl with the owner's URL.
pub(crate) fn portalctl(url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portalctl"))
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env("DATABASE_URL", url)
        .output()
        .unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
