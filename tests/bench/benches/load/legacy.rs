//! A large legacy installation, and `portalctl` run on it as an operator does.

use std::{collections::BTreeMap, fs, path::PathBuf};

use portal_bench::Ended;
use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;

pub(crate) const TENANTS: usize = 2_000;
pub(crate) const AGENTS: usize = 50_000;
pub(crate) const ASSIGNMENTS: usize = 1_000_000;

pub(crate) const FIXTURE: &str =
    include_str!("../../../../crates/portalctl/tests/it/fixtures/legacy_whatsapp_genesys.sql");

/// Instead of the fixture's rows: one account for each tenant, conversations with two assignments each.
pub(crate) fn fill() -> String {
    format!(
        "TRUNCATE public.agents, public.tenants, public.tenant_whatsapp_config, public.conversation_mappings, \
             public.message_tracking CASCADE; \
         INSERT INTO public.tenants (tenant_id, name) SELECT 'tenant_' || g, 'Tenant ' || g \
             FROM generate_series(1, {TENANTS}) g; \
         INSERT INTO public.agents (agent_id, tenant_id, email, name) SELECT md5('a' || g)::uuid, \
             'tenant_' || (g % {TENANTS} + 1), 'agent' || g || '@example.com', 'Agent ' || g \
             FROM generate_series(1, {AGENTS}) g; \
         INSERT INTO public.agent_whatsapp_accounts (agent_id, waba_id, phone_number_id, access_token) \
             SELECT md5('a' || g)::uuid, 9000000 + g, 8000000 + g, 'EAAbench' || md5('t' || g) \
             FROM generate_series(1, {TENANTS}) g; \
         INSERT INTO public.agent_conversation_assignments (assignment_id, conversation_id, agent_id, status, \
                 assigned_at, last_activity_at) \
             SELECT md5('s' || g)::uuid, 'conv-' || (g % {TENANTS} + 1) || '-' || (g / {TENANTS} / 2), \
                 md5('a' || (g % {AGENTS} + 1))::uuid, \
                 (ARRAY['active', 'closed', 'transferred', 'released', 'Active'])[1 + (g * 7 + g / {TENANTS}) % 5], \
                 timestamp '2026-01-01' + g * interval '1 second', timestamp '2026-01-02' + g * interval '1 second' \
             FROM generate_series(0, {}) g; \
         GRANT SELECT, TRIGGER ON public.tenants, public.tenant_whatsapp_config, public.agents, \
             public.agent_whatsapp_accounts, public.agent_sessions, public.agent_conversation_assignments, \
             public.conversation_mappings TO agent_portal_owner; \
         ANALYZE",
        ASSIGNMENTS - 1
    )
}

/// Runs `portalctl`, which logs in as the owner.
pub(crate) fn portalctl(db: &TestDb, label: &str, arguments: &[&str]) -> Ended {
    let environment: BTreeMap<String, String> = [
        ("DATABASE_URL", db.plain_url(ServiceRole::Owner).as_str()),
        (
            "VAULT_KEYS",
            "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ),
        ("VAULT_ACTIVE_KEY", "k1"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    Ended::run("portalctl", label, arguments, &environment)
}

/// What it answered with `--json`; it succeeded.
pub(crate) fn answer(ended: &Ended) -> Value {
    assert!(ended.status.success(), "portalctl: {}", ended.status);
    serde_json::from_slice(&ended.output).unwrap()
}

/// A file of this run in `target`.
pub(crate) fn file(name: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target");
    target.join(format!("bench-{name}"))
}

/// The proposed mapping of a legacy database, written to a file.
pub(crate) fn mapping(db: &TestDb) -> String {
    let file = file("mapping.toml");
    drop(fs::remove_file(&file));
    let name = file.to_str().unwrap().to_owned();
    let arguments = ["db", "inspect", "--json", "--write-mapping", &name];
    answer(&portalctl(db, "inspect", &arguments));
    name
}
