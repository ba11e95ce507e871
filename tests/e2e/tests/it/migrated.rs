//! A legacy installation, migrated by the command line: its people sign in, and write and are written to
//! through the account that was lifted to their organization, with what they had.

use std::process::Command;

use portal_e2e::installation::{Installation, VAULT_KEYS};
use portal_sandbox::{Inbound, NewWaba, seed};
use portal_test_harness::{ServiceRole, TestDb, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::operator::portalctl;

const FIXTURE: &str =
    include_str!("../../../../crates/portalctl/tests/it/fixtures/legacy_whatsapp_genesys.sql");

/// Two of its agents are people of the sandbox's organizations, however they wrote their addresses.
const PEOPLE: &str = "\
UPDATE agents SET email = 'Agent@ACME.example' WHERE email = 'john@example.com'; \
UPDATE agents SET email = 'agent@globex.example' WHERE email = 'HANK@Globex.example'; \
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA public TO agent_portal_owner";

/// The legacy key of acme's agent, which the user's id has to be.
const AGENT_ID: &str = "00000000-0000-4000-8000-000000000001";

/// Of two accounts of acme's agents the one that a person chose, and what it sends from.
const WABA_ID: &str = "100000000000002";
const PHONE_NUMBER_ID: &str = "110000000000002";
const TOKEN: &str = "EAAlegacyTokenAcmeJane";

/// What the legacy tables hold, which nothing of this changes.
const CONTENT: &str = "SELECT x::text FROM public.agents x UNION ALL \
     SELECT x::text FROM public.agent_whatsapp_accounts x UNION ALL SELECT x::text FROM public.tenants x UNION ALL \
     SELECT x::text FROM public.agent_conversation_assignments x ORDER BY 1";

/// Runs a command as the operator, which has to succeed.
fn operator(db: &TestDb, arguments: &[&str]) {
    let done = Command::new(portalctl())
        .args(arguments)
        .env("DATABASE_URL", db.plain_url(ServiceRole::Owner))
        .env("VAULT_KEYS", VAULT_KEYS)
        .env("VAULT_ACTIVE_KEY", "k1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    let answer = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{arguments:?}: {told}{answer}");
}

/// The fixture, migrated and verified; its organizations are known by the guide's file.
fn migrated() -> TestDb {
    let db = TestDb::unmigrated();
    db.execute(FIXTURE);
    db.execute(PEOPLE);
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let (mapping, decisions, orgs) = (
        path("mapping.toml"),
        path("decisions.toml"),
        path("orgs.csv"),
    );
    let decided = format!("version = 1\n[tenants.acme_corp]\nwaba_id = \"{WABA_ID}\"\n");
    std::fs::write(&decisions, decided).unwrap();
    let organizations = format!(
        "tenant_id,genesys_org_id\nacme_corp,{}\nglobex_inc,{}\n",
        seed::ACME_ORG_ID,
        seed::GLOBEX_ORG_ID
    );
    std::fs::write(&orgs, organizations).unwrap();
    operator(&db, &["db", "inspect", "--write-mapping", &mapping]);
    let migrate = [
        "db",
        "migrate",
        "--mapping",
        &mapping,
        "--decisions",
        &decisions,
    ];
    operator(&db, &migrate);
    operator(&db, &["db", "verify"]);
    operator(&db, &["import", "tenant-orgs", &orgs]);
    db.in_organization_schema()
}

/// The chosen account as Meta has it.
fn account() -> NewWaba {
    let account = json!({
        "waba": {"id": WABA_ID, "name": "Acme", "phones": [{
            "id": PHONE_NUMBER_ID, "display_phone_number": "+1 555 010 0102", "country_code": "1",
            "verified_name": "Acme",
        }]},
        "token": {"name": "legacy", "value": TOKEN, "waba_ids": [WABA_ID]},
    });
    serde_json::from_value(account).unwrap()
}

/// The legacy conversations that somebody sees, and whether they are theirs.
async fn conversations(world: &Installation, token: &str) -> Vec<(String, bool)> {
    let url = format!("{}/api/conversations", world.portal_url);
    let (status, list) = world.get(&url, token).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    let all = list["conversations"].as_array().unwrap().iter();
    let mut legacy: Vec<_> = all
        .filter_map(|one| {
            let id = one["genesys_conversation_id"].as_str()?;
            Some((id.to_owned(), one["is_assigned_to_me"] == true))
        })
        .collect();
    legacy.sort();
    legacy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migrated_agent_signs_in_to_what_was_theirs_and_works_through_the_lifted_account() {
    let db = migrated();
    let legacy = db.query(CONTENT);
    let world = Installation::start_in(db, vec![account()]).await;

    // Test 1 of the migration guide: the tenant of a Genesys organization.
    let lookup = format!(
        "{}/api/tenants/by-genesys-org/{}",
        world.tenants_url,
        seed::ACME_ORG_ID
    );
    let tenant: Value = world
        .http
        .get(&lookup)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(tenant["tenant_id"], "acme_corp", "{tenant}");
    assert_eq!(tenant["whatsapp_configured"], true, "{tenant}");

    // Test 2: who was known by e-mail alone is the same person afterwards.
    let (status, outcome) = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(status, StatusCode::OK, "{outcome}");
    assert_eq!(outcome["agent"]["user_id"], AGENT_ID);
    assert_eq!(outcome["agent"]["tenant_id"], "acme_corp");
    assert_eq!(outcome["agent"]["role"], "agent");
    let token = outcome["accessToken"].as_str().unwrap();
    let person = world.db.query(&format!(
        "SELECT genesys_user_id || ' ' || genesys_email || ' ' || is_placeholder FROM genesys_users \
         WHERE user_id = '{AGENT_ID}'"
    ));
    let expected = format!(
        "{} {} false",
        seed::user_id(seed::ACME_AGENT),
        seed::ACME_AGENT
    );
    assert_eq!(person, [expected]);

    let theirs = [
        ("conv-0001".to_owned(), true),
        ("conv-0002".to_owned(), true),
    ];
    assert_eq!(conversations(&world, token).await, theirs);

    // Test 3: the organization's account, read-only.
    let url = format!("{}/api/agents/whatsapp/status", world.portal_url);
    let (status, whatsapp) = world.get(&url, token).await;
    assert_eq!(status, StatusCode::OK, "{whatsapp}");
    assert_eq!(whatsapp["connected"], true);
    assert_eq!(whatsapp["waba_id"], WABA_ID);
    assert_eq!(whatsapp["phone_number_id"], PHONE_NUMBER_ID);
    assert!(!whatsapp.to_string().contains(TOKEN));

    // Test 4: a message, with the legacy token.
    let (status, accepted) = world.send(token, "+1234567890").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let id = accepted["message_id"].as_str().unwrap();
    eventually("the message to be read", async || {
        let (_, message) = world.message(token, id).await;
        (message["status"] == "read").then_some(())
    })
    .await;
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].phone_number_id, PHONE_NUMBER_ID);
    assert_eq!(calls[0].token_name.as_deref(), Some("legacy"));

    is_written_to(&world, token).await;
    assert_eq!(conversations(&world, token).await, theirs);
    strangers_see_nothing(&world, id).await;
    assert_eq!(world.db.tables_with(TOKEN), [""; 0]);
    assert_eq!(
        world.db.query(CONTENT),
        legacy,
        "the legacy tables are as they were"
    );
}

/// A contact of the legacy installation writes to the organization's number: the conversation goes on.
async fn is_written_to(world: &Installation, token: &str) {
    let message = Inbound {
        phone_number_id: PHONE_NUMBER_ID.to_owned(),
        from: Some("15550109001".to_owned()),
        ..Inbound::default()
    };
    world.sandbox.receive(message).unwrap();
    let url = format!("{}/api/conversations?q=%2B15550109001", world.portal_url);
    eventually("the message to be in the list", async || {
        let (_, list) = world.get(&url, token).await;
        let found = list["conversations"].get(0)?;
        let is_it = found["genesys_conversation_id"] == "conv-0001";
        (is_it && found["unread_count"] == 1).then_some(())
    })
    .await;
}

/// Somebody of another organization that was migrated with it.
async fn strangers_see_nothing(world: &Installation, message: &str) {
    let stranger = world.token(seed::GLOBEX_AGENT).await;
    let theirs = [("conv-0004".to_owned(), true)];
    assert_eq!(conversations(world, &stranger).await, theirs);
    assert_eq!(
        world.message(&stranger, message).await.0,
        StatusCode::NOT_FOUND
    );
}
