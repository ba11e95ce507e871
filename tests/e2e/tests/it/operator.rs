//! What an operator is told in the audit log is what helps.

use std::{path::PathBuf, process::Command};

use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::ServiceRole;
use reqwest::StatusCode;

/// The command line as it is installed: beside the tests' own binaries, and built if need be.
pub(crate) fn portalctl() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "portalctl"])
        .status()
        .unwrap();
    assert!(built.success());
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("portalctl")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_in_the_audit_log_lets_somebody_in_who_was_known_elsewhere() {
    let world = Installation::start().await;
    let person = seed::user_id(seed::ACME_AGENT);
    world.db.execute(&format!(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
         VALUES (gen_random_uuid(), 'globex_inc', '{}', '{person}', 'Alice')",
        seed::GLOBEX_ORG_ID
    ));
    let (status, outcome) = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{outcome}");
    assert_eq!(outcome["error"], "User belongs to a different organization");

    let hint = world
        .db
        .query(
            "SELECT details->>'hint' FROM audit_log WHERE details->>'reason' = 'known_elsewhere'",
        )
        .remove(0);
    let mut words = hint.split_whitespace();
    assert_eq!(words.next(), Some("portalctl"), "{hint}");
    let done = Command::new(portalctl())
        .args(words)
        .env("DATABASE_URL", world.db.url(ServiceRole::Owner))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{hint}: {complaint}");

    let (status, outcome) = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(status, StatusCode::OK, "{outcome}");
    assert_eq!(outcome["agent"]["tenant_id"], "acme_corp");
    let left = world.db.query(&format!(
        "SELECT tenant_id FROM genesys_users WHERE genesys_user_id = '{person}'"
    ));
    assert_eq!(left, ["acme_corp"]);
}
