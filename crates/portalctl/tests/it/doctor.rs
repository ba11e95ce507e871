//! `portalctl doctor`.

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::{Value, json};

use crate::{portalctl, stderr, stdout};

fn examine(db: &TestDb) -> (Option<i32>, Value) {
    let output = portalctl(&db.url(ServiceRole::Owner), &["doctor", "--json"]);
    let found = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        found.unwrap_or_else(|_| panic!("{}", stderr(&output))),
    )
}

fn fixes(found: &Value) -> Vec<(String, String, String)> {
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .map(|one| {
            let word = |name: &str| one[name].as_str().unwrap().to_owned();
            (word("tenant_id"), word("code"), word("fix"))
        })
        .collect()
}

const WHATSAPP: &str = "INSERT INTO tenant_whatsapp_config (config_id, tenant_id, waba_id, access_token, \
    access_token_last4, access_token_fingerprint) \
    SELECT gen_random_uuid(), tenant_id, 'waba of ' || tenant_id, '\\x00', '0000', 'f' FROM tenants \
    WHERE tenant_id <> 'initech'";

#[test]
fn what_is_to_be_mended_is_told_with_the_command_that_does_it() {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO tenants (tenant_id, name, genesys_org_id, status) VALUES \
             ('acme_corp', 'n', 'org-acme', 'active'), ('globex_inc', 'n', 'org-globex', 'active'), \
             ('initech', 'n', NULL, 'active'), ('asleep', 'n', NULL, 'suspended'); \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role, is_active, \
                 is_placeholder) VALUES \
             (gen_random_uuid(), 'acme_corp', 'org-acme', 'g-right', 'n', 'agent', true, false), \
             (gen_random_uuid(), 'acme_corp', 'org-globex', 'g-moved', 'n', 'agent', true, false), \
             (gen_random_uuid(), 'acme_corp', 'org-lost', 'g-lost', 'n', 'agent', true, false), \
             (gen_random_uuid(), 'acme_corp', 'org-globex', 'g-gone', 'n', 'agent', false, false), \
             (gen_random_uuid(), 'acme_corp', '', 'legacy:1', 'n', 'agent', true, true), \
             (gen_random_uuid(), 'initech', 'org-initech', 'g-bill', 'n', 'agent', true, false)",
    );
    db.execute(WHATSAPP);
    let (code, found) = examine(&db);
    assert_eq!((code, &found["tenants"]), (Some(3), &json!(3)));
    let told =
        |tenant: &str, code: &str, fix: &str| (tenant.to_owned(), code.to_owned(), fix.to_owned());
    assert_eq!(
        fixes(&found),
        [
            told(
                "acme_corp",
                "user_of_another_organization",
                "no active tenant has the organization org-lost: give it one with `portalctl tenant set-org`, \
                 then move the person with `portalctl user move`"
            ),
            told(
                "acme_corp",
                "user_of_another_organization",
                "portalctl user move --genesys-user-id g-moved --from acme_corp --to globex_inc --dry-run"
            ),
            told(
                "initech",
                "tenant_without_organization",
                "portalctl tenant set-org --tenant initech --genesys-org-id org-initech --region …"
            ),
            told(
                "initech",
                "tenant_without_whatsapp",
                "configure its account on the admin dashboard, or let an administrator of it sign up"
            ),
        ]
    );
}

#[test]
fn the_commands_that_it_tells_mend_it() {
    let db = TestDb::new();
    let url = db.url(ServiceRole::Owner);
    db.execute(
        "INSERT INTO tenants (tenant_id, name, genesys_org_id) VALUES \
             ('acme_corp', 'n', 'org-acme'), ('globex_inc', 'n', NULL); \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role) VALUES \
             (gen_random_uuid(), 'globex_inc', 'org-globex', 'g-1', 'n', 'agent'), \
             (gen_random_uuid(), 'acme_corp', 'org-globex', 'g-2', 'n', 'agent')",
    );
    db.execute(WHATSAPP);
    for round in 0..2 {
        let (code, found) = examine(&db);
        assert_eq!(code, Some(3), "{round} {found}");
        for (_, _, fix) in fixes(&found) {
            let Some(command) = fix.strip_prefix("portalctl ") else {
                continue;
            };
            let command = command.replace(" --region …", "").replace(" --dry-run", "");
            let output = portalctl(&url, &command.split(' ').collect::<Vec<_>>());
            assert!(output.status.success(), "{command}: {}", stderr(&output));
        }
    }
    let output = portalctl(&url, &["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("nothing is to be mended"));
}
