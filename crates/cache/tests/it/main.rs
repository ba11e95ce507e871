//! The cache against a real Redis, and against one that is gone, silent or restarted.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at what it did not expect"
)]

mod broken;
mod values;

use portal_cache::Cache;
use secrecy::SecretString;
use uuid::Uuid;

/// URL of the test server.
fn redis_url() -> String {
    std::env::var("TEST_REDIS_URL").expect(
        "TEST_REDIS_URL is not set: start the test servers with `make servers` and load .local/test.env",
    )
}

/// A cache with keys of its own.
fn cache() -> Cache {
    cache_at(redis_url())
}

fn cache_at(url: String) -> Cache {
    Cache::connect(
        &SecretString::from(url),
        &format!("test:{}:", Uuid::new_v4()),
    )
    .unwrap()
}
