//! What integration tests share: a database of one's own, names that isolate broker and Redis, and
//! waiting for a state instead of sleeping.
//!
//! The servers come from `make test` or `make servers`, by the variables `TEST_DATABASE_URL` (a
//! superuser's), `TEST_AMQP_URL` and `TEST_REDIS_URL`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a harness fails the test at the spot where the world is not as it should be"
)]

mod database;
mod events;
mod eventually;
mod private;
mod redis;

pub use database::{ServiceRole, TestDb};
pub use events::{CaughtEvent, EventListener, make_exchanges, publish_command, publish_event};
pub use eventually::eventually;
pub use private::{PrivatePostgres, PrivateRabbit};
pub use redis::PrivateRedis;

/// The names that keep one test's queues and keys apart from another's.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// For `rabbitmq.namespace`.
    pub rabbitmq_namespace: String,
    /// For `redis.key_prefix`.
    pub redis_key_prefix: String,
}

impl Isolation {
    /// Fresh names.
    pub fn new() -> Self {
        let id = uuid::Uuid::now_v7().simple().to_string();
        Self {
            rabbitmq_namespace: format!("t{id}."),
            redis_key_prefix: format!("t{id}:"),
        }
    }

    /// The full name of the exchange for events.
    pub fn events_exchange(&self) -> String {
        format!("{}agent-portal.events", self.rabbitmq_namespace)
    }
}

impl Default for Isolation {
    fn default() -> Self {
        Self::new()
    }
}

/// The test broker's URL.
pub fn amqp_url() -> String {
    required("TEST_AMQP_URL")
}

/// The test broker's URL for a service's user, whose rights are those of an installation.
pub fn amqp_url_as(role: ServiceRole) -> String {
    let url = amqp_url();
    let (_, place) = url.split_once('@').expect("the URL names a user");
    format!("amqp://{}:test@{place}", role.user())
}

/// The test Redis' URL.
pub fn redis_url() -> String {
    required("TEST_REDIS_URL")
}

fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `make servers` and source .local/test.env")
    })
}
