//! Tokens, keys, revocation and callers, as services use them.
#![allow(
    clippy::allow_attributes,
    reason = "the switches for tests do not reach helpers"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod callers;
mod jwks;
mod revocation;
mod tokens;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use portal_auth::{AccessSubject, IssuedToken, Issuer, SigningKey, SigningKeys};
use portal_types::{Clock, Role, SessionId, TenantId, UserId};
use secrecy::ExposeSecret as _;

const ISS: &str = "agent-portal-service";
const AUD: &str = "agent-portal";

struct Shifted(TimeDelta);

impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.0
    }
}

fn keys() -> SigningKeys {
    SigningKeys::new(SigningKey::generate().unwrap(), &[])
}

fn issuer(keys: &SigningKeys) -> Issuer {
    Issuer::new(ISS, AUD, keys.clone())
}

fn shifted(keys: &SigningKeys, seconds: i64) -> Issuer {
    issuer(keys).with_clock(Arc::new(Shifted(TimeDelta::seconds(seconds))))
}

fn subject() -> AccessSubject {
    AccessSubject {
        user_id: UserId::generate(),
        tenant_id: TenantId::parse("acme_corp").unwrap(),
        role: Role::Agent,
        session_id: SessionId::generate(),
    }
}

fn access(issuer: &Issuer) -> String {
    text(&issuer.issue_access(&subject()).unwrap())
}

fn text(issued: &IssuedToken) -> String {
    issued.token.expose_secret().to_owned()
}

async fn eventually<F, Fut>(what: &str, mut check: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    for _ in 0..500 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}
