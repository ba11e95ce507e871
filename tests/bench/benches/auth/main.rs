//! What it costs to know who calls: a token seen for the first time and again, the whole step of a
//! request with the revocation list in a real Redis, and opening a sealed secret.
//!
//! `make bench` runs it. The report is printed and written to `target/bench-report.md`.
#![allow(clippy::allow_attributes, reason = "the macros and helpers trip some")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark talks to its terminal and stops at what it did not expect"
)]

mod report;

use std::{hint::black_box, path::PathBuf, process::ExitCode, time::Duration};

use actix_web::{
    FromRequest as _, HttpRequest, dev::Payload, http::header, test::TestRequest, web,
};
use criterion::{BatchSize, Criterion};
use portal_auth::{
    AccessClaims, AccessSubject, Authenticator, Caller, Issuer, KeySource, Revocations, SigningKey,
    SigningKeys, Verifier,
};
use portal_cache::Cache;
use portal_types::{Role, SessionId, TenantId, UserId};
use portal_vault::{Vault, places::WHATSAPP_TOKEN};
use secrecy::ExposeSecret as _;
use tokio::runtime::Runtime;
use uuid::Uuid;

const ISS: &str = "agent-portal-service";
const AUD: &str = "agent-portal";

fn main() -> ExitCode {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let measured = target.join("criterion");
    let mut criterion = Criterion::default()
        .output_directory(&measured)
        .without_plots()
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let runtime = Runtime::new().unwrap();
    let world = World::new(&runtime);
    verification(&mut criterion, &runtime, &world);
    auth_step(&mut criterion, &runtime, &world);
    vault(&mut criterion);
    criterion.final_summary();
    report::write(&measured, &target.join("bench-report.md"))
}

struct World {
    issuer: Issuer,
    keys: SigningKeys,
    revocations: Revocations,
}

impl World {
    fn new(runtime: &Runtime) -> Self {
        let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: run `make bench`");
        let keys = SigningKeys::new(SigningKey::generate().unwrap(), &[]);
        // Redis' connection belongs to the runtime that asks.
        let _entered = runtime.enter();
        let cache = Cache::connect(&url.into(), &format!("bench:{}:", Uuid::now_v7())).unwrap();
        let revocations = Revocations::new(cache, Duration::from_mins(5));
        runtime.block_on(async {
            let begun = revocations.begin_rebuild().await.unwrap();
            assert!(revocations.mark_whole(begun).await.unwrap());
        });
        Self {
            issuer: Issuer::new(ISS, AUD, keys.clone()),
            keys,
            revocations,
        }
    }

    fn token(&self) -> String {
        let subject = AccessSubject {
            user_id: UserId::generate(),
            tenant_id: TenantId::parse("acme_corp").unwrap(),
            role: Role::Agent,
            session_id: SessionId::generate(),
        };
        let issued = self.issuer.issue_access(&subject).unwrap();
        issued.token.expose_secret().to_owned()
    }

    fn verifier(&self) -> Verifier<AccessClaims> {
        Verifier::new(ISS, AUD, KeySource::Own(self.keys.clone()))
    }
}

fn verification(criterion: &mut Criterion, runtime: &Runtime, world: &World) {
    let mut group = criterion.benchmark_group("verify");
    let verifier = world.verifier();
    group.bench_function("first", |bencher| {
        bencher.to_async(runtime).iter_batched(
            || world.token(),
            async |token| verifier.verify(&token).await.unwrap(),
            BatchSize::SmallInput,
        );
    });
    let token = world.token();
    group.bench_function("repeat", |bencher| {
        bencher
            .to_async(runtime)
            .iter(async || verifier.verify(black_box(&token)).await.unwrap());
    });
    group.finish();
}

/// From the request's header to the caller that a handler gets.
fn auth_step(criterion: &mut Criterion, runtime: &Runtime, world: &World) {
    let mut group = criterion.benchmark_group("auth-step");
    let with_list = || Authenticator::builder().revocations(world.revocations.clone());
    let known = world.token();
    for (name, builder, is_known) in [
        ("first-with-redis", with_list(), false),
        ("repeat-with-redis", with_list(), true),
        ("repeat-without-redis", Authenticator::builder(), true),
    ] {
        let authenticator = web::Data::new(builder.access(world.verifier()).build());
        let request = |token: &str| -> HttpRequest {
            TestRequest::get()
                .app_data(authenticator.clone())
                .insert_header((header::AUTHORIZATION, format!("Bearer {token}")))
                .to_http_request()
        };
        group.bench_function(name, |bencher| {
            let caller = async |request: HttpRequest| {
                Caller::from_request(&request, &mut Payload::None)
                    .await
                    .unwrap()
            };
            if is_known {
                let request = request(&known);
                bencher
                    .to_async(runtime)
                    .iter(async || caller(request.clone()).await);
            } else {
                bencher.to_async(runtime).iter_batched(
                    || request(&world.token()),
                    caller,
                    BatchSize::SmallInput,
                );
            }
        });
    }
    group.finish();
}

fn vault(criterion: &mut Criterion) {
    let keys = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let vault = Vault::from_keys(&keys.into(), "k1").unwrap();
    let row = Uuid::now_v7().to_string();
    let place = WHATSAPP_TOKEN.of("acme_corp", &row);
    let sealed = vault.seal(&place, &"E".repeat(200).into()).unwrap();
    criterion.bench_function("vault/open", |bencher| {
        bencher.iter(|| vault.open(&place, black_box(&sealed)).unwrap());
    });
}
