//! Outbox to queue to handler, on a real database and a real broker.
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod asyncapi;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::Utc;
use lapin::{
    Connection, ConnectionProperties,
    options::{BasicGetOptions, QueueDeleteOptions},
};
use portal_db::{Db, DbOptions, outbox};
use portal_events::{
    BrokerOptions, BrokerState, Consumers, DeadLetter, DeadLetters, Delivery, Envelope,
    EventContext, Handled, Handler, Relay, RelayWaker, Source,
    catalogue::TenantCreated,
    outbox_event, outbox_work,
    topology::{EVENTS, QueueKind, QueueSpec, WORK},
};
use portal_test_harness::{Isolation, ServiceRole, TestDb, amqp_url, eventually};
use portal_types::TenantId;
use tokio_util::sync::CancellationToken;

const SOURCE: Source = Source {
    role: "tenant_service",
    uri: "/services/tenant-service",
};
const QUEUE: QueueSpec = QueueSpec {
    name: "test.tenants",
    kind: QueueKind::Durable,
    bindings: Vec::new(),
};

struct World {
    test_db: TestDb,
    db: Db,
    broker: BrokerOptions,
    /// Of the consumers.
    consuming: BrokerState,
    waker: RelayWaker,
    stop: CancellationToken,
}

impl World {
    fn new() -> Self {
        let test_db = TestDb::new();
        let db = Db::new(&DbOptions {
            url: test_db.url(ServiceRole::Tenant).into(),
            pool_size: 3,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            application_name: "test",
        });
        let broker = BrokerOptions {
            url: amqp_url().into(),
            namespace: Isolation::new().rabbitmq_namespace,
            name: "test",
        };
        Self {
            test_db,
            db,
            broker,
            consuming: BrokerState::default(),
            waker: RelayWaker::default(),
            stop: CancellationToken::new(),
        }
    }

    fn start_relay(&self) {
        let relay = Relay::new(
            self.db.clone(),
            self.broker.clone(),
            BrokerState::default(),
            SOURCE.role,
            self.waker.clone(),
        );
        tokio::spawn(relay.run(self.stop.clone()));
    }

    fn start_consumer(&self, queue: QueueSpec, handler: impl Handler) {
        let consumers = Consumers::new(self.broker.clone(), self.consuming.clone())
            .subscribe(queue, 1, handler);
        tokio::spawn(consumers.run(self.stop.clone()));
    }

    async fn emit(&self, tenant: &str, name: &str) {
        let tenant = TenantId::parse(tenant).unwrap();
        let data = TenantCreated {
            tenant_id: tenant.clone(),
            name: name.to_owned(),
            status: "active".to_owned(),
            changed: Vec::new(),
        };
        let context = EventContext {
            traceparent: None,
            request_id: Some("request-1".to_owned()),
        };
        self.db
            .write("emit", &tenant.clone(), move |tx| {
                let row = outbox_event(SOURCE, &tenant, &context, Utc::now(), &data)?;
                outbox::append(tx, &[row])
            })
            .await
            .unwrap();
        self.waker.wake();
    }

    /// An event reaches the queues that are bound when it is published.
    async fn queue_is_consumed(&self) {
        eventually("the queue to be consumed", async || {
            self.consuming.is_up().then_some(())
        })
        .await;
    }

    fn unpublished(&self) -> String {
        self.test_db
            .query("SELECT count(*) FROM outbox_events WHERE published_at IS NULL")
            .remove(0)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Notes names; fails or rejects those that it is told to.
#[derive(Clone, Default)]
struct Notes {
    seen: Arc<Mutex<Vec<String>>>,
    failures: Arc<Mutex<HashMap<String, u32>>>,
}

impl Notes {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Handler for Notes {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let envelope: Envelope<TenantCreated> = match Envelope::parse(&delivery.body) {
            Ok(envelope) => envelope,
            Err(error) => return Handled::Reject(error.into()),
        };
        // What is given back from the dead letters carries its queue's name.
        let keys = ["tenant.created", QUEUE.name];
        assert!(
            keys.contains(&&*delivery.routing_key),
            "{}",
            delivery.routing_key
        );
        assert_eq!(envelope.event_type, "com.agentportal.tenant.created.v1");
        assert_eq!(envelope.requestid.as_deref(), Some("request-1"));
        if let Some(left) = self.failures.lock().unwrap().get_mut(&envelope.data.name)
            && *left > 0
        {
            *left -= 1;
            return Handled::Retry(anyhow::anyhow!("not yet"));
        }
        if envelope.data.name == "poison" {
            return Handled::Reject(anyhow::anyhow!("never"));
        }
        self.seen.lock().unwrap().push(envelope.data.name);
        Handled::Done
    }
}

fn queue() -> QueueSpec {
    QueueSpec {
        bindings: vec![(EVENTS, "tenant.#")],
        ..QUEUE
    }
}

async fn channel() -> (Connection, lapin::Channel) {
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_events_arrive_in_order_and_are_marked() {
    let world = World::new();
    let notes = Notes::default();
    world.start_consumer(queue(), notes.clone());
    // Committed before the relay runs: nothing is lost while the broker is away.
    for n in 0..100 {
        world.emit("acme", &format!("name-{n}")).await;
    }
    assert_eq!(world.unpublished(), "100");
    world.queue_is_consumed().await;
    world.start_relay();
    let expected: Vec<_> = (0..100).map(|n| format!("name-{n}")).collect();
    eventually("all events", async || {
        (notes.seen().len() >= 100).then_some(())
    })
    .await;
    assert_eq!(notes.seen(), expected);
    eventually("all marked", async || {
        (world.unpublished() == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_delivery_is_repeated_and_poison_goes_to_the_dead_letters() {
    let world = World::new();
    let notes = Notes::default();
    notes.failures.lock().unwrap().insert("late".to_owned(), 3);
    world.start_consumer(queue(), notes.clone());
    world.queue_is_consumed().await;
    world.start_relay();
    for name in ["late", "poison", "after"] {
        world.emit("acme", name).await;
    }
    eventually("the last one", async || {
        notes.seen().contains(&"after".to_owned()).then_some(())
    })
    .await;
    assert_eq!(notes.seen(), ["late", "after"]);

    let (_connection, channel) = channel().await;
    let dead = eventually("the dead letter", async || {
        let name = format!("{}test.tenants.dead", world.broker.namespace);
        channel
            .basic_get(name.into(), BasicGetOptions::default())
            .await
            .unwrap()
    })
    .await;
    let envelope: Envelope<TenantCreated> = Envelope::parse(&dead.delivery.data).unwrap();
    assert_eq!(envelope.data.name, "poison");
    assert_eq!(
        dead.delivery
            .properties
            .message_id()
            .as_ref()
            .unwrap()
            .to_string(),
        envelope.id.to_string()
    );
}

/// Notes dead letters; refuses the first, as a database that is away would.
#[derive(Clone, Default)]
struct Keeper(Arc<Mutex<(u32, Vec<DeadLetter>)>>);

#[async_trait]
impl DeadLetters for Keeper {
    async fn keep(&self, letter: DeadLetter) -> anyhow::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.0 += 1;
        if inner.0 == 1 {
            anyhow::bail!("away");
        }
        inner.1.push(letter);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_handler_takes_is_kept_with_the_reason_and_comes_back_when_it_is_published() {
    let world = World::new();
    let (keeper, notes) = (Keeper::default(), Notes::default());
    let consumers = Consumers::new(world.broker.clone(), world.consuming.clone())
        .keep_dead_letters(keeper.clone())
        .subscribe(queue(), 1, notes.clone());
    tokio::spawn(consumers.run(world.stop.clone()));
    world.queue_is_consumed().await;
    world.start_relay();
    let letters = |count: usize| {
        let keeper = keeper.clone();
        async move {
            eventually("the letters", async || {
                let letters = keeper.0.lock().unwrap().1.clone();
                (letters.len() >= count).then_some(letters)
            })
            .await
        }
    };
    // The first cannot be kept and takes the way of the broker.
    world.emit("acme", "poison").await;
    let first = letters(1).await.remove(0);
    assert_eq!(first.error, "the broker gave it up: rejected");
    assert_eq!(first.routing_key, "tenant.created");
    assert_eq!(first.headers.pointer("/x-death/0/count"), Some(&1.into()));
    // The second is kept at once, and the broker hears nothing of it.
    world.emit("acme", "poison").await;
    let second = letters(2).await.remove(1);
    assert_eq!(
        (second.queue, second.error.as_str()),
        ("test.tenants", "never")
    );
    let envelope: Envelope<TenantCreated> = Envelope::parse(&second.body).unwrap();
    assert_eq!(second.broker_message_id, Some(envelope.id.to_string()));

    // Given back, it goes to its queue alone: here to be refused again.
    let tenant = TenantId::parse("acme").unwrap();
    let body = serde_json::from_slice(&second.body).unwrap();
    world
        .db
        .write("replay", &tenant.clone(), move |tx| {
            let context = EventContext::default();
            let subject = "letter".to_owned();
            let row = outbox_work(SOURCE, &tenant, &context, second.queue, subject, body);
            outbox::append(tx, &[row])
        })
        .await
        .unwrap();
    world.waker.wake();
    let third = letters(3).await.remove(2);
    assert_eq!(third.routing_key, "test.tenants");
    let again: Envelope<TenantCreated> = Envelope::parse(&third.body).unwrap();
    assert_eq!(again.id, envelope.id, "the same for whoever dedupes by it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_queue_is_deleted_builds_it_again() {
    let world = World::new();
    let notes = Notes::default();
    world.start_consumer(queue(), notes.clone());
    world.start_relay();
    let reach = async |name: &str| {
        eventually(name, async || {
            world.emit("acme", name).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            notes.seen().contains(&name.to_owned()).then_some(())
        })
        .await;
    };
    reach("before").await;
    let (_connection, channel) = channel().await;
    let name = format!("{}test.tenants", world.broker.namespace);
    channel
        .queue_delete(name.into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    reach("after").await;
}

struct Accept;
#[async_trait]
impl Handler for Accept {
    async fn handle(&self, _: &Delivery) -> Handled {
        Handled::Done
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_no_queue_takes_stays_in_the_outbox_until_one_does() {
    let world = World::new();
    world.start_relay();
    let tenant = TenantId::parse("acme").unwrap();
    world
        .db
        .write("work", &tenant.clone(), move |tx| {
            let body = serde_json::json!({"n": 1});
            let context = EventContext::default();
            let row = outbox_work(SOURCE, &tenant, &context, "test.work", "s".to_owned(), body);
            outbox::append(tx, &[row])
        })
        .await
        .unwrap();
    world.waker.wake();
    // What comes after it leaves; so the relay has looked at it, and looked again.
    for name in ["first", "second"] {
        world.emit("acme", name).await;
        eventually("the event to leave", async || {
            (world.unpublished() == "1").then_some(())
        })
        .await;
    }
    let spec = QueueSpec {
        bindings: vec![(WORK, "test.work")],
        ..QUEUE
    };
    world.start_consumer(spec, Accept);
    eventually("the work to be taken", async || {
        (world.unpublished() == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_publish_every_event_once() {
    let world = World::new();
    let notes = Notes::default();
    world.start_consumer(queue(), notes.clone());
    world.queue_is_consumed().await;
    world.start_relay();
    world.start_relay();
    for n in 0..50 {
        world.emit("acme", &format!("{n}")).await;
    }
    eventually("all events", async || {
        notes.seen().contains(&"49".to_owned()).then_some(())
    })
    .await;
    assert_eq!(
        notes.seen(),
        (0..50).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}
