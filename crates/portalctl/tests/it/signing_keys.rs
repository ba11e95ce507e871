//! `portalctl signing-keys`: a new key while tokens are issued and verified.

use std::{
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use portal_auth::{
    AccessClaims, AccessSubject, Issuer, JwksClient, JwksOptions, KeySource, PUBLISH_AHEAD,
    SigningKeys, Verifier, VerifyError,
};
use portal_db::{Db, DbOptions};
use portal_foundation::signing_keys::KeyKeeper;
use portal_service_kit::http_client::{self, ClientOptions};
use portal_test_harness::{ServiceRole, TestDb, eventually};
use portal_types::{Role, SessionId, TenantId, UserId};
use portal_vault::Vault;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{stderr, stdout};

const VAULT_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OTHER_KEYS: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const ISS: &str = "agent-portal-service";
const AUD: &str = "agent-portal";

fn run(db: &TestDb, vault_keys: &str, arguments: &[&str]) -> Output {
    let active = vault_keys.split(':').next().unwrap();
    Command::new(env!("CARGO_BIN_EXE_portalctl"))
        .arg("signing-keys")
        .args(arguments)
        .env("DATABASE_URL", db.url(ServiceRole::Owner))
        .env("VAULT_KEYS", vault_keys)
        .env("VAULT_ACTIVE_KEY", active)
        .output()
        .unwrap()
}

fn rotate(db: &TestDb, more: &[&str]) -> Output {
    let arguments = [&["rotate", "--service", "agent-portal", "--json"], more].concat();
    run(db, VAULT_KEYS, &arguments)
}

fn kid(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    let answer: Value = serde_json::from_str(&stdout(output)).unwrap();
    answer["kid"].as_str().unwrap().to_owned()
}

fn statuses(db: &TestDb) -> Vec<String> {
    db.query("SELECT status FROM signing_keys ORDER BY created_at")
}

/// A replica of the issuer: keys from the database, kept current by short looks.
struct Replica {
    keeper: KeyKeeper,
    issuer: Issuer,
    verifier: Verifier<AccessClaims>,
}

impl Replica {
    async fn start(db: &TestDb, stop: &CancellationToken) -> Self {
        let keys = SigningKeys::pending();
        let lifetime = Duration::from_secs(3);
        let keeper = KeyKeeper {
            db: Db::new(&DbOptions {
                url: db.url(ServiceRole::AgentPortal).into(),
                pool_size: 2,
                acquire_timeout: Duration::from_secs(20),
                statement_timeout: Duration::from_secs(20),
                application_name: "test",
            }),
            vault: Arc::new(Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap()),
            keys: keys.clone(),
            role: "agent_portal_service",
            token_lifetime: lifetime,
            reload: Duration::from_millis(200),
        };
        keeper.load().await.unwrap();
        tokio::spawn(keeper.clone().run(stop.clone()));
        Self {
            keeper,
            issuer: Issuer::new(ISS, AUD, keys.clone()).with_lifetime(lifetime),
            verifier: Verifier::new(ISS, AUD, KeySource::Own(keys)),
        }
    }

    fn token(&self) -> String {
        token(&self.issuer)
    }

    fn published(&self) -> Vec<String> {
        let keys = self.keeper.keys.jwks().keys;
        keys.into_iter().filter_map(|key| key.kid).collect()
    }
}

fn token(issuer: &Issuer) -> String {
    let subject = AccessSubject {
        user_id: UserId::generate(),
        tenant_id: TenantId::parse("acme_corp").unwrap(),
        role: Role::Agent,
        session_id: SessionId::generate(),
    };
    let made = issuer.issue_access(&subject).unwrap();
    made.token.expose_secret().to_owned()
}

/// The document as a load balancer gives it: of one replica, then of the other.
fn publish(replicas: &[Replica; 2]) -> String {
    let keys = web::Data::new((
        [0, 1].map(|index: usize| replicas[index].keeper.keys.clone()),
        AtomicUsize::new(0),
    ));
    let server = HttpServer::new(move || {
        App::new().app_data(keys.clone()).default_service(web::to(
            async |state: web::Data<([SigningKeys; 2], AtomicUsize)>| {
                let turn = state.1.fetch_add(1, Ordering::SeqCst);
                HttpResponse::Ok().json(state.0[turn % 2].jwks())
            },
        ))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let url = format!("http://{}/", server.addrs()[0]);
    tokio::spawn(server.run());
    url
}

/// People who get tokens and use them everywhere.
#[derive(Debug, Clone, Default)]
struct Load {
    done: Arc<AtomicBool>,
    verified: Arc<AtomicUsize>,
}

impl Load {
    /// Answers why tokens were refused.
    async fn run(
        self,
        issuer: Issuer,
        verifiers: Arc<[Verifier<AccessClaims>; 3]>,
    ) -> Vec<VerifyError> {
        let mut refused = Vec::new();
        while !self.done.load(Ordering::SeqCst) {
            let tokens: Vec<_> = (0..8).map(|_| token(&issuer)).collect();
            // Half of them when they are a while old; each once, as verified tokens are remembered.
            for (half, pause) in [(&tokens[..4], 0), (&tokens[4..], 300)] {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                for token in half {
                    for verifier in verifiers.iter() {
                        refused.extend(verifier.verify(token).await.err());
                        self.verified.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        }
        refused
    }
}

fn other_service(url: &str, options: JwksOptions) -> Verifier<AccessClaims> {
    let client = http_client::build(&ClientOptions::default()).unwrap();
    let client = JwksClient::new(url, client, options);
    Verifier::new(ISS, AUD, KeySource::Published(client))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotation_under_load_refuses_no_valid_token() {
    let db = TestDb::new();
    let stop = CancellationToken::new();
    let replicas = [
        Replica::start(&db, &stop).await,
        Replica::start(&db, &stop).await,
    ];
    let url = publish(&replicas);
    let options = JwksOptions {
        fresh_for: Duration::from_millis(300),
        unknown_pause: Duration::from_millis(50),
        failure_pause: Duration::from_millis(50),
        ..JwksOptions::default()
    };
    let verifiers = Arc::new([
        replicas[0].verifier.clone(),
        replicas[1].verifier.clone(),
        other_service(&url, options),
    ]);
    let load = Load::default();
    let tasks: Vec<_> = (0..4)
        .map(|turn: usize| {
            let issuer = replicas[turn % 2].issuer.clone();
            tokio::spawn(load.clone().run(issuer, Arc::clone(&verifiers)))
        })
        .collect();

    let mut before = replicas[0].published();
    for _ in 0..2 {
        let next = kid(&rotate(&db, &["--activate-after", "4"]));
        eventually("both to publish the next key", async || {
            replicas
                .iter()
                .all(|replica| replica.published().contains(&next))
                .then_some(())
        })
        .await;
        // It does not sign yet; both did not sign with it either.
        assert!(
            replicas
                .iter()
                .all(|replica| replica.published()[0] == before[0])
        );
        eventually("both to sign with it", async || {
            replicas
                .iter()
                .all(|replica| replica.published()[0] == next)
                .then_some(())
        })
        .await;
        // The old one is still published: its tokens live.
        assert!(
            replicas
                .iter()
                .all(|replica| replica.published().contains(&before[0]))
        );
        before = replicas[0].published();
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    load.done.store(true, Ordering::SeqCst);
    for task in tasks {
        assert_eq!(task.await.unwrap(), []);
    }
    assert!(load.verified.load(Ordering::SeqCst) > 500, "{load:?}");
    assert_eq!(statuses(&db), ["retired", "retired", "active"]);
    let audit = db.query("SELECT concat_ws(' ', service, actor_kind, action) FROM audit_log");
    assert_eq!(audit, ["portalctl operator signing_keys.rotate"; 2]);

    // Until the last token is dead, and not for ever.
    db.execute("UPDATE signing_keys SET retired_at = retired_at - interval '2 minutes'");
    eventually("the old keys to go", async || {
        replicas
            .iter()
            .all(|replica| replica.published().len() == 1)
            .then_some(())
    })
    .await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_saw_the_next_key_asks_for_it() {
    let db = TestDb::new();
    let stop = CancellationToken::new();
    let replicas = [
        Replica::start(&db, &stop).await,
        Replica::start(&db, &stop).await,
    ];
    // Keys that are fresh for as long as the test runs: nothing but the unknown id makes it look.
    let options = JwksOptions {
        fresh_for: Duration::from_hours(1),
        unknown_pause: Duration::ZERO,
        ..JwksOptions::default()
    };
    let verifier = other_service(&publish(&replicas), options);
    verifier.verify(&replicas[0].token()).await.unwrap();
    let next = kid(&rotate(&db, &["--activate-after", "0"]));
    eventually("both to sign with the new key", async || {
        replicas
            .iter()
            .all(|replica| replica.published()[0] == next)
            .then_some(())
    })
    .await;
    verifier.verify(&replicas[0].token()).await.unwrap();
    verifier.verify(&replicas[1].token()).await.unwrap();
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_key_is_one_is_listed_and_can_be_taken_back() {
    let db = TestDb::new();
    let none = rotate(&db, &[]);
    assert!(
        stderr(&none).contains("has no key yet"),
        "{}",
        stderr(&none)
    );

    let stop = CancellationToken::new();
    let replica = Replica::start(&db, &stop).await;
    let next = kid(&rotate(&db, &[]));
    let ahead = db.query(&format!(
        "SELECT activates_at - created_at FROM signing_keys WHERE kid = '{next}'"
    ));
    assert_eq!(PUBLISH_AHEAD, Duration::from_mins(11));
    assert_eq!(ahead, ["00:11:00"]);
    let second = rotate(&db, &[]);
    assert!(
        stderr(&second).contains("a next key already"),
        "{}",
        stderr(&second)
    );
    let list = run(&db, VAULT_KEYS, &["list"]);
    let list = stdout(&list);
    assert!(
        list.contains(&format!("agent_portal_service next {next} (signs from ")),
        "{list}"
    );
    assert!(list.contains("agent_portal_service active "), "{list}");

    assert_eq!(kid(&rotate(&db, &["--abort"])), next);
    assert!(stderr(&rotate(&db, &["--abort"])).contains("there is no next key"));
    assert_eq!(statuses(&db), ["active"]);

    // One that the service cannot open, because its vault has another key, changes nothing.
    let arguments = [
        "rotate",
        "--service",
        "agent-portal",
        "--activate-after",
        "0",
    ];
    let strange = run(&db, OTHER_KEYS, &arguments);
    assert!(strange.status.success(), "{}", stderr(&strange));
    assert!(
        stderr(&strange).contains("some may refuse"),
        "{}",
        stderr(&strange)
    );
    assert_eq!(replica.keeper.load().await.unwrap(), None);
    assert_eq!(statuses(&db), ["active", "next"]);
    assert_eq!(replica.published().len(), 1);
    replica.verifier.verify(&replica.token()).await.unwrap();
    let audit = db.query("SELECT action FROM audit_log ORDER BY seq");
    assert_eq!(
        audit,
        [
            "signing_keys.rotate",
            "signing_keys.abort",
            "signing_keys.rotate"
        ]
    );
    stop.cancel();
}
