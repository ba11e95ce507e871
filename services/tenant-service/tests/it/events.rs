//! Events that leave and events that come in.

use std::time::Duration;

use chrono::Utc;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicGetOptions, BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
        QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use portal_auth::{RevocationSubject, Revocations, Standing};
use portal_cache::Cache;
use portal_test_harness::{amqp_url, eventually, redis_url};
use portal_types::TenantId;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, ok, whatsapp_body, with_world};

const QUEUE: &str = "tenant-service.whatsapp-token-reports";

/// The test's own view of the broker.
pub(crate) struct Broker {
    // Kept: the channel ends with it.
    _connection: Connection,
    channel: Channel,
    namespace: String,
}

impl Broker {
    pub(crate) async fn connect(world: &World) -> Self {
        let connection = Connection::connect(&amqp_url(), ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        let namespace = world.isolation.rabbitmq_namespace.clone();
        Self {
            _connection: connection,
            channel,
            namespace,
        }
    }

    fn name(&self, name: &str) -> lapin::types::ShortString {
        format!("{}{name}", self.namespace).into()
    }

    /// A queue that gets every event from now on.
    async fn listen(&self) -> Listener<'_> {
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let exchange = self.name("agent-portal.events");
        self.channel
            .exchange_declare(
                exchange.clone(),
                ExchangeKind::Topic,
                durable,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        };
        let queue = self.name("test.listener");
        self.channel
            .queue_declare(queue.clone(), exclusive, FieldTable::default())
            .await
            .unwrap();
        self.channel
            .queue_bind(
                queue,
                exchange,
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        Listener {
            broker: self,
            queue: "test.listener",
        }
    }

    async fn publish(&self, routing_key: &str, body: &[u8]) {
        self.channel
            .basic_publish(
                self.name("agent-portal.events"),
                routing_key.into(),
                BasicPublishOptions::default(),
                body,
                BasicProperties::default().with_delivery_mode(2),
            )
            .await
            .unwrap()
            .await
            .unwrap();
    }

    fn dead_letters(&self) -> Listener<'_> {
        Listener {
            broker: self,
            queue: "tenant-service.whatsapp-token-reports.dead",
        }
    }

    /// Removes what the test made on the shared broker.
    pub(crate) async fn clean_up(&self) {
        for queue in [QUEUE.to_owned(), format!("{QUEUE}.dead")] {
            let deleted = self
                .channel
                .queue_delete(self.name(&queue), QueueDeleteOptions::default());
            drop(deleted.await);
        }
        for exchange in ["events", "commands", "work", "dead-letters"] {
            let name = self.name(&format!("agent-portal.{exchange}"));
            drop(
                self.channel
                    .exchange_delete(name, ExchangeDeleteOptions::default())
                    .await,
            );
        }
    }
}

struct Listener<'a> {
    broker: &'a Broker,
    queue: &'static str,
}

struct Heard {
    routing_key: String,
    properties: BasicProperties,
    body: Vec<u8>,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Listener<'_> {
    async fn next(&self) -> Heard {
        let queue = self.broker.name(self.queue);
        eventually("a message on the test's queue", async || {
            let get = self
                .broker
                .channel
                .basic_get(queue.clone(), BasicGetOptions { no_ack: true });
            let message = get.await.unwrap()?;
            Some(Heard {
                routing_key: message.delivery.routing_key.to_string(),
                properties: message.delivery.properties.clone(),
                body: message.delivery.data.clone(),
            })
        })
        .await
    }
}

/// Envelope and properties of the `tenant.created` of request `req-42`.
fn has_the_contracts_form(heard: &Heard, trace: &str) {
    let event = heard.json();
    assert_eq!(event["type"], "com.agentportal.tenant.created.v1");
    assert_eq!(event["source"], "/services/tenant-service");
    assert_eq!(event["subject"], "acme_corp");
    assert_eq!(event["tenantid"], "acme_corp");
    assert_eq!(event["requestid"], "req-42");
    assert!(event["traceparent"].as_str().unwrap().contains(trace));
    let data = json!({"tenant_id": "acme_corp", "name": "Acme", "status": "active", "changed": []});
    assert_eq!(event["data"], data);
    let properties = &heard.properties;
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(
        properties.content_type().as_ref().unwrap().as_str(),
        "application/cloudevents+json"
    );
    assert_eq!(
        properties.message_id().as_ref().unwrap().as_str(),
        event["id"].as_str().unwrap()
    );
    let headers = properties.headers().as_ref().unwrap();
    let AMQPValue::LongString(traceparent) = &headers.inner()["traceparent"] else {
        panic!("no traceparent header");
    };
    assert!(
        traceparent.to_string().contains(trace),
        "one trace from the request to the broker"
    );
}

#[tokio::test]
async fn events_leave_in_order_and_as_the_contract_says() {
    with_world(async |world| {
        let broker = Broker::connect(world).await;
        let listener = broker.listen().await;
        let admin = world.admin().await;
        let body = json!({"tenant_id": "acme_corp", "name": "Acme", "genesys_org_id": "org-acme"});
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let request = world
            .post("/api/tenants")
            .bearer_auth(&admin.token)
            .header("x-request-id", "req-42")
            .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
        ok(request.json(&body).send().await.unwrap(), 201).await;
        ok(
            admin.patch("acme_corp", json!({"name": "Acme Corp"})).await,
            200,
        )
        .await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        ok(
            admin
                .patch("acme_corp", json!({"status": "suspended"}))
                .await,
            200,
        )
        .await;
        ok(
            admin.patch("acme_corp", json!({"status": "active"})).await,
            200,
        )
        .await;
        admin.delete("/api/tenants/acme_corp/whatsapp").await;
        let path = "/api/tenants/acme_corp/genesys-org";
        ok(
            admin
                .send(Method::PUT, path, Some(json!({"genesys_org_id": "org-2"})))
                .await,
            200,
        )
        .await;
        admin.delete("/api/tenants/acme_corp").await;

        let first = listener.next().await;
        assert_eq!(first.routing_key, "tenant.created");
        has_the_contracts_form(&first, trace);

        let mut kinds = Vec::new();
        for _ in 0..8 {
            kinds.push(listener.next().await.routing_key);
        }
        assert_eq!(
            kinds,
            [
                "tenant.genesys_org.mapped",
                "tenant.updated",
                "tenant.whatsapp.configured",
                "tenant.suspended",
                "tenant.resumed",
                "tenant.whatsapp.removed",
                "tenant.genesys_org.mapped",
                "tenant.deleted"
            ]
        );
        eventually("the outbox is empty", async || {
            let waiting = "SELECT count(*) FROM outbox_events WHERE published_at IS NULL";
            (world.db.query(waiting) == ["0"]).then_some(())
        })
        .await;
    })
    .await;
}

fn report(kind: &str, waba: &str, tenant: &str, time: chrono::DateTime<Utc>, id: Uuid) -> Vec<u8> {
    json!({
        "specversion": "1.0", "id": id, "source": "/services/outbound-message-service",
        "type": format!("com.agentportal.{kind}.v1"), "subject": tenant, "tenantid": tenant,
        "time": time, "datacontenttype": "application/json", "requestid": "req-7",
        "data": {"tenant_id": tenant, "waba_id": waba, "error_code": 190, "later_field": true},
    })
    .to_string()
    .into_bytes()
}

const INVALID: &str = "tenant.whatsapp.token_invalid";
const RESTORED: &str = "tenant.whatsapp.token_restored";
const WABA: &str = "102290129340001";

/// Waits until the consumer has noted the event.
async fn applied(world: &World, id: Uuid) {
    let sql = format!("SELECT count(*) FROM inbox_events WHERE event_id = '{id}'");
    eventually("the event is in the inbox", async || {
        (world.db.query(&sql) == ["1"]).then_some(())
    })
    .await;
}

fn token_status(world: &World) -> String {
    let sql = "SELECT concat_ws(' ', token_status, token_error_code) FROM tenant_whatsapp_config";
    world.db.query(sql).remove(0)
}

#[tokio::test]
async fn token_reports_change_the_status_once_and_in_order_of_time() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        let broker = Broker::connect(world).await;
        let at = |seconds: i64| Utc::now() + chrono::TimeDelta::seconds(seconds);
        let send = async |kind: &str, waba: &str, time, id| {
            broker.publish(kind, &report(kind, waba, "acme_corp", time, id)).await;
            applied(world, id).await;
            token_status(world)
        };
        let ids: Vec<Uuid> = (0..6).map(|_| Uuid::now_v7()).collect();

        // From before the configuration was written: about another token.
        assert_eq!(send(INVALID, WABA, at(-60), ids[0]).await, "unknown");
        assert_eq!(send(INVALID, "another-waba", at(5), ids[1]).await, "unknown");
        assert_eq!(send(INVALID, WABA, at(10), ids[2]).await, "invalid 190");
        assert_eq!(send(RESTORED, WABA, at(20), ids[3]).await, "valid");
        // Late, and seen before what is known.
        assert_eq!(send(INVALID, WABA, at(15), ids[4]).await, "valid");
        // The same event again changes nothing, even if its time were good.
        assert_eq!(send(INVALID, WABA, at(90), ids[2]).await, "valid");
        assert_eq!(send(INVALID, WABA, at(99), ids[5]).await, "invalid 190");

        let shown = ok(admin.get("/api/tenants/acme_corp/whatsapp").await, 200).await;
        assert_eq!((&shown["token_status"], &shown["token_error_code"]), (&json!("invalid"), &json!(190)));
        let entries = "SELECT concat_ws(' ', actor_kind, actor_id, details->>'token_status', request_id) \
                       FROM audit_log WHERE action = 'tenant.whatsapp.token_status' ORDER BY audit_id";
        let by = |status: &str| format!("service outbound-message-service {status} req-7");
        assert_eq!(world.db.query(entries), [by("invalid"), by("valid"), by("invalid")]);
    })
    .await;
}

#[tokio::test]
async fn reports_that_make_no_sense_go_to_the_dead_letters() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        let broker = Broker::connect(world).await;
        let now = Utc::now() + chrono::TimeDelta::seconds(5);
        let mut disguised: Value =
            serde_json::from_slice(&report(INVALID, WABA, "globex", now, Uuid::now_v7())).unwrap();
        disguised["data"]["tenant_id"] = "acme_corp".into();
        for body in [
            b"not json".to_vec(),
            b"{}".to_vec(),
            disguised.to_string().into_bytes(),
        ] {
            broker.publish(INVALID, &body).await;
            assert_eq!(broker.dead_letters().next().await.body, body);
        }
        // The queue goes on.
        let id = Uuid::now_v7();
        broker
            .publish(INVALID, &report(INVALID, WABA, "acme_corp", now, id))
            .await;
        applied(world, id).await;
        assert_eq!(token_status(world), "invalid 190");
    })
    .await;
}

#[tokio::test]
async fn suspending_a_tenant_ends_its_sessions_at_once() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        // As another service sees it.
        let cache = Cache::connect(&redis_url().into(), &world.isolation.redis_key_prefix).unwrap();
        let list = Revocations::new(cache, Duration::from_mins(5));
        let is_revoked = async |tenant: &str| {
            let tenant = RevocationSubject::Tenant(TenantId::parse(tenant).unwrap());
            list.standing(&[tenant], 1_000).await == Standing::Ended
        };
        assert!(!is_revoked("acme_corp").await);
        ok(
            admin
                .patch("acme_corp", json!({"status": "suspended"}))
                .await,
            200,
        )
        .await;
        assert!(is_revoked("acme_corp").await);
        assert!(!is_revoked("globex").await);
        ok(
            admin.patch("acme_corp", json!({"status": "active"})).await,
            200,
        )
        .await;
        assert!(!is_revoked("acme_corp").await);
        admin.delete("/api/tenants/acme_corp").await;
        assert!(is_revoked("acme_corp").await);
    })
    .await;
}
