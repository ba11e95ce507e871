//! From a legacy installation to the organization-level model, and back.

mod agents;
mod interrupted;
mod live;
mod refused;
mod retired;
mod whole;

use std::process::{Command, Output};

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;

use crate::{stderr, stdout};

pub(crate) const FIXTURE: &str = include_str!("../fixtures/legacy_whatsapp_genesys.sql");
const TABLES: &str = "tenants, tenant_whatsapp_config, agents, agent_whatsapp_accounts, agent_sessions, \
    agent_conversation_assignments";
const GRANTS: &str = "GRANT SELECT, TRIGGER ON tenants, tenant_whatsapp_config, agents, agent_whatsapp_accounts, \
    agent_sessions, agent_conversation_assignments TO agent_portal_owner; \
    GRANT SELECT ON conversation_mappings TO agent_portal_owner";

/// A legacy installation with the files that an operator has for it.
pub(crate) struct Installation {
    pub(crate) db: TestDb,
    files: tempfile::TempDir,
}

impl Installation {
    /// The fixture, with what `more` does to it.
    pub(crate) fn new(more: &str) -> Self {
        let db = TestDb::unmigrated();
        db.execute(FIXTURE);
        if !more.is_empty() {
            db.execute(more);
        }
        db.execute(GRANTS);
        let installation = Self {
            db,
            files: tempfile::tempdir().unwrap(),
        };
        installation.write(
            "decisions.toml",
            "version = 1\n[tenants.acme_corp]\nwaba_id = \"100000000000002\"\n",
        );
        let mapping = installation.path("mapping.toml");
        let written = installation.run(&["db", "inspect", "--write-mapping", &mapping]);
        assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
        installation
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.files.path().join(name), text).unwrap();
        self.path(name)
    }

    /// The command, as the owner.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portalctl"));
        command
            .args(arguments)
            .env("DATABASE_URL", self.db.url(ServiceRole::Owner))
            .env(
                "VAULT_KEYS",
                "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            )
            .env("VAULT_ACTIVE_KEY", "k1");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `db migrate` by the files, with more arguments.
    pub(crate) fn migrate(&self, more: &[&str]) -> Output {
        let (mapping, decisions) = (self.path("mapping.toml"), self.path("decisions.toml"));
        let arguments = [
            "db",
            "migrate",
            "--json",
            "--mapping",
            &mapping,
            "--decisions",
            &decisions,
        ];
        self.run(&[&arguments, more].concat())
    }

    /// As [`Installation::migrate`], and it has to succeed: the answer.
    pub(crate) fn migrated(&self, more: &[&str]) -> Value {
        let output = self.migrate(more);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Whatever rule does not hold.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let output = self.run(&["db", "verify", "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let wrong: Vec<_> = answer["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["wrong"] != 0)
            .map(|check| format!("{}: {}", check["code"].as_str().unwrap(), check["wrong"]))
            .collect();
        let code = if wrong.is_empty() { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(code), "{answer}");
        wrong
    }

    /// The fingerprint and the hash of every table's rows, of the legacy schema.
    pub(crate) fn state(&self) -> (Value, Value) {
        let output = self
            .command(&["db", "inspect", "--hash", "--json"])
            .env("DATABASE_URL", self.db.superuser_url())
            .output()
            .unwrap();
        let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert!(
            answer["fingerprint"].is_string() && answer["data"].is_object(),
            "{answer}"
        );
        (answer["fingerprint"].clone(), answer["data"].clone())
    }
}

/// `subject verdict rows` of a migration's answer.
pub(crate) fn totals(answer: &Value) -> Vec<String> {
    let mut sums = std::collections::BTreeMap::<String, i64>::new();
    for total in answer["totals"].as_array().unwrap() {
        let key = format!(
            "{} {}",
            total["subject"].as_str().unwrap(),
            total["verdict"].as_str().unwrap()
        );
        *sums.entry(key).or_default() += total["rows"].as_i64().unwrap();
    }
    sums.into_iter()
        .map(|(key, rows)| format!("{key} {rows}"))
        .collect()
}
