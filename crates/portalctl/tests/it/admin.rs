//! `portalctl admin`.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use portal_test_harness::{ServiceRole, TestDb};

use crate::{portalctl, stderr, stdout};

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

const VAULT_KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn a_second_factor_is_shown_once_and_stored_sealed() {
    let db = TestDb::new();
    let url = db.url(ServiceRole::Owner);
    let without_keys = create(
        &url,
        "ada@example.org",
        "correct horse battery",
        &["--totp"],
    );
    assert!(stderr(&without_keys).contains("VAULT_KEYS"));
    assert_eq!(db.query("SELECT count(*) FROM platform_admins"), ["0"]);

    let folder = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
    std::fs::write(&folder, format!("{VAULT_KEYS}\n")).unwrap();
    let more = [
        "--totp",
        "--vault-keys-file",
        folder.to_str().unwrap(),
        "--vault-active-key",
        "k1",
    ];
    let made = create(&url, "ada@example.org", "correct horse battery", &more);
    std::fs::remove_file(&folder).unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let shown = stdout(&made);
    let (_, uri) = shown.split_once("otpauth://totp/").unwrap();
    let (_, secret) = uri.split_once("secret=").unwrap();
    let secret = secret.split(['&', '\n']).next().unwrap();
    assert_eq!(secret.len(), 32);
    let stored = db.query(
        "SELECT (totp_confirmed_at IS NOT NULL) || ' ' || admin_id || ' ' || \
         encode(totp_secret, 'hex') FROM platform_admins",
    );
    let mut stored = stored[0].split(' ');
    assert_eq!(stored.next(), Some("true"));
    let row_id = stored.next().unwrap();
    let place = portal_vault::Binding {
        table: "platform_admins",
        column: "totp_secret",
        tenant_id: "platform",
        row_id,
    };
    let vault = portal_vault::Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let sealed = hex::decode(stored.next().unwrap()).unwrap();
    let opened = vault.open(&place, &sealed).unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&opened), secret);
    assert!(
        !sealed
            .windows(8)
            .any(|part| part == &secret.as_bytes()[..8])
    );
}

#[test]
fn an_operator_looks_after_administrators_and_it_is_audited() {
    let db = TestDb::new();
    let url = db.url(ServiceRole::Owner);
    let run = |args: &[&str]| {
        let output = portalctl(&url, args);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let made = create(&url, "ada@example.org", "correct horse battery", &[]);
    assert!(made.status.success(), "{}", stderr(&made));
    db.execute(
        "INSERT INTO platform_admin_sessions \
             (session_id, admin_id, refresh_token_hash, idle_expires_at, expires_at) \
         SELECT gen_random_uuid(), admin_id, '\\x01', now() + '1h', now() + '1h' FROM platform_admins; \
         UPDATE platform_admins SET failed_logins = 10, locked_until = now() + '1h', \
             totp_secret = '\\x01', totp_confirmed_at = now(), totp_last_step = 7",
    );
    let list = run(&["admin", "list"]);
    assert!(
        list.contains("locked  Ada <ada@example.org>  with second factor"),
        "{list}"
    );

    let email = ["--email", "Ada@example.org"];
    run(&[&["admin", "unlock"], &email[..]].concat());
    let row = "SELECT concat_ws(' ', is_active, failed_logins, locked_until, totp_secret, \
               totp_confirmed_at, totp_last_step) FROM platform_admins";
    assert!(
        db.query(row)[0].starts_with("t 0 \\x01"),
        "{:?}",
        db.query(row)
    );
    run(&[&["admin", "reset-totp"], &email[..]].concat());
    assert_eq!(db.query(row), ["t 0"]);
    let sessions = "SELECT revoke_reason FROM platform_admin_sessions";
    assert_eq!(db.query(sessions), ["totp_reset"]);

    db.execute("UPDATE platform_admin_sessions SET revoked_at = NULL, revoke_reason = NULL");
    run(&[&["admin", "deactivate"], &email[..]].concat());
    assert_eq!(db.query(sessions), ["deactivated"]);
    assert_eq!(db.query(row), ["f 0"]);
    run(&[&["admin", "activate"], &email[..]].concat());
    assert_eq!(db.query(row), ["t 0"]);

    let nobody = portalctl(&url, &["admin", "unlock", "--email", "bob@example.org"]);
    assert_eq!(nobody.status.code(), Some(1));
    let entries =
        "SELECT concat_ws(' ', service, actor_kind, action, outcome) FROM audit_log ORDER BY seq";
    assert_eq!(
        db.query(entries),
        ["create", "unlock", "totp_reset", "deactivate", "activate"]
            .map(|action| format!("portalctl operator admin.{action} succeeded"))
    );
}
