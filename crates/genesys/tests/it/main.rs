//! The Genesys client against a server that answers, refuses, lies and breaks off.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[expect(dead_code, reason = "three crates share it, none needs all of it")]
#[path = "../../../whatsapp/tests/it/fake.rs"]
mod fake;
mod me;
mod oauth;
mod sandbox;

use std::time::Duration;

use portal_genesys::{ErrorKind, GenesysClient, GenesysError, PlainHttp, Region, RetryPolicy};
use portal_service_kit::http_client::{ClientOptions, build};

use crate::fake::{Fake, Reply};

/// Repeats without making the tests wait.
const QUICK: RetryPolicy = RetryPolicy {
    tries: 3,
    first_wait: Duration::from_millis(1),
    budget: Duration::from_secs(20),
};

fn client_with(timeout: Duration) -> GenesysClient {
    let options = ClientOptions {
        connect_timeout: timeout / 2,
        timeout,
        user_agent: "agent-portal".to_owned(),
    };
    GenesysClient::new(build(&options).unwrap(), QUICK)
}

fn client() -> GenesysClient {
    client_with(Duration::from_secs(20))
}

fn region(fake: &Fake) -> Region {
    let base = fake.url.clone();
    Region::explicit("fake", base.clone(), base, PlainHttp::LoopbackOnly).unwrap()
}

/// An address where nobody listens.
async fn nobody() -> Region {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: url::Url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    Region::explicit("nobody", base.clone(), base, PlainHttp::LoopbackOnly).unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T, GenesysError>) -> ErrorKind {
    result.unwrap_err().kind
}

/// An error of the Platform API.
fn api_error(status: u16, code: &str) -> Reply {
    Reply::json(
        status,
        &serde_json::json!({
            "message": "text with jane@acme.example", "code": code, "status": status,
            "contextId": "0b1c4f7a-0000-4000-8000-000000000001", "details": [], "errors": []
        }),
    )
}
