//! `portalctl admin`.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use portal_test_harness::{ServiceRole, TestDb};

use crate::{stderr, stdout};

fn create(url: &str, email: &str, password: &str, more: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portalctl"))
        .args([
            "admin",
            "create",
            "--email",
            email,
            "--name",
            "Ada",
            "--password-file",
            "-",
        ])
        .args(more)
        .env("DATABASE_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(password.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn an_admin_is_created_once_and_stored_hashed() {
    let db = TestDb::new();
    let url = db.url(ServiceRole::Owner);
    let first = create(&url, "Ada@Example.org", "correct horse battery\n", &[]);
    assert!(first.status.success(), "{}", stderr(&first));
    let stored = db.query("SELECT email || ' ' || left(password_hash, 10) FROM platform_admins");
    assert_eq!(stored, ["ada@example.org $argon2id$"]);
    let hash = || db.query("SELECT password_hash FROM platform_admins");
    let before = hash();

    let again = create(&url, "ada@example.org", "another horse battery", &[]);
    assert!(again.status.success());
    assert!(
        stdout(&again).contains("nothing was changed"),
        "{}",
        stdout(&again)
    );
    assert_eq!(hash(), before);

    let reset = create(
        &url,
        "ada@example.org",
        "another horse battery",
        &["--reset-password"],
    );
    assert!(reset.status.success());
    assert_ne!(hash(), before);
}

#[test]
fn weak_input_is_refused_and_nothing_is_stored() {
    let db = TestDb::new();
    let url = db.url(ServiceRole::Owner);
    let short = create(&url, "ada@example.org", "short", &[]);
    assert_eq!(short.status.code(), Some(1));
    assert!(
        stderr(&short).contains("15 to 256 characters, has 5"),
        "{}",
        stderr(&short)
    );
    let no_address = create(&url, "ada", "correct horse battery", &[]);
    assert!(
        stderr(&no_address).contains("--email"),
        "{}",
        stderr(&no_address)
    );
    assert_eq!(db.query("SELECT count(*) FROM platform_admins"), ["0"]);
}
