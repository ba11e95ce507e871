//! Killed, and run again; and two at once.

use std::{process::Stdio, time::Duration};

use rand::RngExt as _;

use super::{Installation, totals};
use crate::stderr;

/// 40 tenants, 400 agents, 8,000 assignments of 2,000 conversations.
const MANY: &str = "
    INSERT INTO tenants (tenant_id, name) SELECT 'tenant_' || g, 'Tenant ' || g FROM generate_series(1, 40) g;
    INSERT INTO agents (agent_id, tenant_id, email, name)
        SELECT md5('agent' || g)::uuid, 'tenant_' || (g % 40 + 1), 'agent' || g || '@example.com', 'Agent ' || g
        FROM generate_series(1, 400) g;
    INSERT INTO agent_conversation_assignments (conversation_id, agent_id, status, assigned_at, last_activity_at)
        SELECT 'many-' || (g % 2000), md5('agent' || (g % 400 + 1))::uuid,
            (ARRAY['active', 'closed', 'transferred', 'released', 'Active'])[1 + g % 5],
            timestamp '2026-01-01' + g * interval '1 second', timestamp '2026-01-02' + g * interval '1 second'
        FROM generate_series(1, 8000) g";

const KILLS: u32 = 20;

#[test]
fn killed_at_20_random_points_it_ends_as_if_it_had_not_been() {
    let legacy = Installation::new(MANY);
    let undisturbed = Installation::new(MANY);
    let expected = totals(&undisturbed.migrated(&[]));
    let (mapping, decisions) = (legacy.path("mapping.toml"), legacy.path("decisions.toml"));
    let mut killed = 0;
    for _ in 0..KILLS {
        let mut run = legacy
            .command(&[
                "db",
                "migrate",
                "--mapping",
                &mapping,
                "--decisions",
                &decisions,
                "--batch",
                "200",
                "--pause-ms",
                "10",
                "--wait-seconds",
                "60",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(1..700)));
        run.kill().unwrap();
        killed += u32::from(!run.wait().unwrap().success());
        // What somebody wrote between two runs.
        legacy.db.execute(
            "UPDATE agent_conversation_assignments SET status = status WHERE conversation_id = 'many-7'",
        );
    }
    assert!(killed > 0, "none was killed before it ended");
    let output = legacy.migrate(&["--wait-seconds", "60"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(totals(&answer), expected);
    assert_eq!(legacy.wrong(), [""; 0]);
    let rows = |legacy: &Installation| {
        legacy.db.query(
            "SELECT tenant_id || ' ' || conversation_id || ' ' || user_id || ' ' || status || ' ' || assigned_at \
             FROM agent_portal.conversation_assignments WHERE tenant_id LIKE 'tenant%' ORDER BY 1",
        )
    };
    assert_eq!(rows(&legacy), rows(&undisturbed));
}

#[test]
fn of_two_at_once_one_works_and_the_other_names_it() {
    let legacy = Installation::new("");
    let (mapping, decisions) = (legacy.path("mapping.toml"), legacy.path("decisions.toml"));
    let mut first = legacy
        .command(&[
            "db",
            "migrate",
            "--mapping",
            &mapping,
            "--decisions",
            &decisions,
            "--follow-seconds",
            "600",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
         WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()";
    while legacy.db.query(held) == ["0"] {
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = legacy.migrate(&[]);
    assert_eq!(second.status.code(), Some(6), "{}", stderr(&second));
    assert!(
        stderr(&second).contains("portalctl db migrate by"),
        "{}",
        stderr(&second)
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let third = legacy.migrate(&["--wait-seconds", "60"]);
    assert_eq!(third.status.code(), Some(0), "{}", stderr(&third));
}

#[test]
fn a_connection_that_is_cut_in_the_middle_is_told_and_the_next_run_goes_on() {
    let legacy = Installation::new(MANY);
    let (mapping, decisions) = (legacy.path("mapping.toml"), legacy.path("decisions.toml"));
    let run = legacy
        .command(&[
            "db",
            "migrate",
            "--mapping",
            &mapping,
            "--decisions",
            &decisions,
            "--batch",
            "100",
            "--pause-ms",
            "20",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = "SELECT coalesce((SELECT true::text FROM pg_class WHERE relname = '__legacy_ledger' \
         AND reltuples <> 0), 'false')";
    while legacy.db.query(begun) == ["false"] {
        std::thread::sleep(Duration::from_millis(20));
    }
    legacy.db.execute(
        "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'portalctl db migrate%'; END $$",
    );
    let cut = run.wait_with_output().unwrap();
    assert_eq!(cut.status.code(), Some(1), "{}", stderr(&cut));
    assert!(
        stderr(&cut).contains("run the same command again"),
        "{}",
        stderr(&cut)
    );
    legacy.migrated(&["--wait-seconds", "60"]);
    assert_eq!(legacy.wrong(), [""; 0]);
    let history = legacy.run(&["db", "history", "--json"]);
    let history: serde_json::Value = serde_json::from_slice(&history.stdout).unwrap();
    let outcomes: Vec<_> = history["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{} {}", entry["command"], entry["outcome"]).replace('"', ""))
        .collect();
    assert_eq!(
        outcomes,
        [
            "db verify succeeded",
            "db migrate succeeded",
            "db migrate interrupted"
        ]
    );
}
