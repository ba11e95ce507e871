//! agent-portal-service as processes of their own, with people who are signed in.

use std::collections::BTreeMap;

use portal_auth::{AccessSubject, Issuer, SigningKey, SigningKeys};
use portal_sisters::Sisters;
use portal_test_harness::{Isolation, ServiceRole, TestDb, amqp_url, redis_url};
use portal_types::{Role, SessionId, TenantId, UserId};
use portal_vault::{Binding, Vault};
use secrecy::ExposeSecret as _;

use crate::{
    process::Process,
    world::{Running, UNLIMITED, VAULT_KEYS, client, free_port, wait_for},
};

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who it is.
    pub id: UserId,
    /// What the person may see.
    pub role: Role,
    /// The access token, for a quarter of an hour.
    pub token: String,
}

/// What replicas of agent-portal-service share.
pub struct Portal {
    /// The database.
    pub db: TestDb,
    /// The names at broker and Redis.
    pub isolation: Isolation,
    /// A client for calls.
    pub http: reqwest::Client,
    _sisters: Sisters,
    environment: BTreeMap<String, String>,
}

impl Portal {
    /// Everything but the service itself, with these tenants.
    pub fn prepare(tenants: &[&str]) -> Self {
        let db = TestDb::new();
        let isolation = Isolation::new();
        let sisters = Sisters::start();
        for id in tenants {
            db.execute(&format!(
                "INSERT INTO tenants (tenant_id, name) VALUES ('{id}', 'name')"
            ));
        }
        let database = db.url(ServiceRole::AgentPortal);
        let environment: BTreeMap<String, String> = [
            ("PORTAL__BIND", "127.0.0.1:0"),
            ("DATABASE__URL", &database),
            ("RABBITMQ__URL", &amqp_url()),
            ("RABBITMQ__NAMESPACE", &isolation.rabbitmq_namespace),
            ("REDIS__URL", &redis_url()),
            ("REDIS__KEY_PREFIX", &isolation.redis_key_prefix),
            ("VAULT__KEYS", VAULT_KEYS),
            ("VAULT__ACTIVE_KEY", "k1"),
            ("TENANT_SERVICE__URL", &sisters.url),
            (
                "TENANT_SERVICE__SERVICE_KEY",
                "svc_agent-portal-service_bench",
            ),
            ("GENESYS__REGIONS", "mypurecloud.de"),
            (
                "GENESYS__REDIRECT_URI",
                portal_sandbox::seed::DEFAULT_REDIRECT_URI,
            ),
            (
                "GENESYS__CLIENT_ID",
                portal_sandbox::seed::CONFIDENTIAL_CLIENT_ID,
            ),
            (
                "GENESYS__CLIENT_SECRET",
                portal_sandbox::seed::CONFIDENTIAL_CLIENT_SECRET,
            ),
            ("HTTP__ALLOWED_ORIGINS", "https://front.example"),
        ]
        .into_iter()
        .chain(UNLIMITED)
        .map(|(key, value)| (format!("AGENT_PORTAL__{key}"), value.to_owned()))
        .collect();
        Self {
            environment,
            db,
            isolation,
            http: client(),
            _sisters: sisters,
        }
    }

    /// Runs a replica and waits until it is ready.
    pub async fn start_replica(&self, label: &str) -> Running {
        let address = format!("127.0.0.1:{}", free_port());
        let mut environment = self.environment.clone();
        environment.insert("AGENT_PORTAL__HTTP__BIND".to_owned(), address.clone());
        let process = Process::start("agent-portal-service", label, &[], &environment);
        wait_for(&self.http, &format!("http://{address}/health/ready")).await;
        Running { process, address }
    }

    /// Somebody of the tenant, without the way through Genesys. A replica must have run before.
    pub fn join(&self, tenant: &str, role: Role) -> Person {
        let id = UserId::generate();
        self.db.execute(&format!(
            "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role, role_changed_at) \
             VALUES ('{id}', '{tenant}', 'o', '{id}', 'Ann', '{role}', now() - interval '1 hour')"
        ));
        let subject = AccessSubject {
            user_id: id,
            tenant_id: TenantId::parse(tenant).expect("an id"),
            role,
            session_id: SessionId::generate(),
        };
        let keys = SigningKeys::new(self.own_key(), &[]);
        let issuer = Issuer::new("agent-portal-service", "agent-portal", keys);
        let access = issuer.issue_access(&subject).expect("a token");
        Person {
            id,
            role,
            token: access.token.expose_secret().to_owned(),
        }
    }

    /// The service's own key, out of its table.
    fn own_key(&self) -> SigningKey {
        let one = |sql: &str| self.db.query(sql).pop().expect("the service has a key");
        let kid = one("SELECT kid FROM signing_keys WHERE status = 'active'");
        let sealed =
            one("SELECT encode(private_key, 'hex') FROM signing_keys WHERE status = 'active'");
        let sealed: Vec<u8> = sealed
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| {
                let pair = std::str::from_utf8(pair).expect("hexadecimal digits");
                u8::from_str_radix(pair, 16).expect("a byte")
            })
            .collect();
        let binding = Binding {
            table: "signing_keys",
            column: "private_key",
            tenant_id: "platform",
            row_id: &kid,
        };
        let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").expect("a key");
        let stored = vault.open(&binding, &sealed).expect("it opens");
        SigningKey::from_stored(&stored).expect("a signing key")
    }
}
