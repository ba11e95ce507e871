//! `pgbench`: what the same PostgreSQL does at best when each call commits for itself.

use std::{fs, path::Path, process::Command, time::Duration};

use portal_test_harness::{ServiceRole, TestDb};

use crate::process::target;

const DEBIAN: &str = "/usr/lib/postgresql/15/bin/pgbench";

/// A script to run against the installation's database.
#[derive(Debug)]
pub struct PgBench {
    url: String,
    options: String,
    script: std::path::PathBuf,
}

impl PgBench {
    /// Statements that each transaction consists of, run as outbound-message-service for `tenant`.
    pub fn new(db: &TestDb, tenant: &str, statements: &str) -> Self {
        let script = target().join("bench-pgbench.sql");
        fs::write(&script, statements).expect("the script is written");
        Self {
            url: db.url(ServiceRole::Outbound),
            // Once for the session, so that the comparison does not pay for it each time.
            options: format!("-c app.tenant_id={tenant}"),
            script,
        }
    }

    /// Committed transactions a second, at so many clients; `protocol` is `simple`, which is what
    /// `pgbench` does by itself, or `prepared`.
    pub fn run(&self, protocol: &str, clients: usize, duration: Duration) -> f64 {
        let program = if Path::new(DEBIAN).exists() {
            DEBIAN
        } else {
            "pgbench"
        };
        let output = Command::new(program)
            .args([
                "--no-vacuum",
                "--protocol",
                protocol,
                "--jobs",
                "2",
                "--client",
            ])
            .arg(clients.to_string())
            .arg("--time")
            .arg(duration.as_secs().to_string())
            .arg("--file")
            .arg(&self.script)
            .arg(&self.url)
            .env("PGOPTIONS", &self.options)
            .output()
            .expect("pgbench is installed (package postgresql-15)");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.starts_with("tps = "));
        let figure = line.and_then(|line| line.split_whitespace().nth(2));
        let figure = figure.unwrap_or_else(|| panic!("pgbench: {text} {errors}"));
        figure.parse().expect("a number")
    }
}
