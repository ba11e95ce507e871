//! The service in processes of its own, with load on it, and what is known after the run.

use std::{
    collections::{BTreeSet, HashMap},
    net::TcpListener,
    process::{Child, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use portal_sandbox::NewWaba;
use portal_test_harness::eventually;
use portal_types::SessionId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    checker::{Evidence, Row, Taken, Told, check},
    generator::{Generator, Load, long_form},
    sisters::{profile, seal},
    world::{Servers, World},
};

/// How long a run may take to come to rest after the fault.
const PATIENCE: Duration = Duration::from_mins(2);

/// A tenant with an account of its own.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) phone_number_id: String,
    /// A signed-in agent's.
    pub(crate) access_token: String,
    /// What Meta knows it by.
    pub(crate) graph_token: String,
}

/// How a case is set up.
pub(crate) struct Setup {
    pub(crate) servers: Servers,
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    pub(crate) tenants: usize,
    pub(crate) replicas: usize,
    /// For the first start of the first replica, see the crate `fail`.
    pub(crate) failpoints: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            servers: Servers::shared(),
            settings: Vec::new(),
            tenants: 3,
            replicas: 1,
            failpoints: "",
        }
    }
}

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) tenants: Vec<Tenant>,
    replicas: Vec<Replica>,
    generator: Option<Generator>,
    /// Meta's word about every message arrives in the end.
    pub(crate) webhooks_come: bool,
    /// What was given to the broker that nobody can read.
    pub(crate) poison: Vec<String>,
    may_rest: BTreeSet<String>,
}

struct Replica {
    bind: String,
    process: Option<Child>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

impl Stage {
    /// As [`Stage::start`], on servers of the case's own and else as usual.
    pub(crate) async fn on(servers: Servers) -> Self {
        Self::start(Setup {
            servers,
            ..Setup::default()
        })
        .await
    }

    /// Everything runs, and nobody sends yet.
    pub(crate) async fn start(setup: Setup) -> Self {
        let mut settings = vec![
            ("DELIVERY__UNKNOWN_HORIZON_SECONDS", "600"),
            // Traffic ends before the last outcome is settled.
            ("DELIVERY__HORIZON_NEEDS_WEBHOOKS", "false"),
            // Few recipients get much.
            ("DELIVERY__PAIR_BURST", "100000"),
            ("LIMITS__PER_CALLER_PER_MINUTE", "1000000"),
            ("LIMITS__PER_TENANT_PER_MINUTE", "1000000"),
            ("LIMITS__PER_ADDRESS_PER_MINUTE", "1000000"),
        ];
        settings.extend(setup.settings);
        let world = World::prepare_on(setup.servers, &settings);
        let tenants = (0..setup.tenants).map(|n| add_tenant(&world, n)).collect();
        let replicas = (0..setup.replicas).map(|_| Replica {
            bind: free_address(),
            process: None,
        });
        let mut stage = Self {
            replicas: replicas.collect(),
            world,
            tenants,
            generator: None,
            webhooks_come: true,
            poison: Vec::new(),
            may_rest: ["read", "failed", "canceled"].map(str::to_owned).into(),
        };
        stage.world.url = format!("http://{}", stage.replicas[0].bind);
        stage.world.lead_webhooks_here();
        // Meta goes on for days; here a pause that grew with an outage would outlast the case.
        stage.world.sandbox.change_webhook(|webhook| {
            webhook.retry = vec![Duration::from_millis(500); 600];
        });
        for number in 0..stage.replicas.len() {
            let failpoints = if number == 0 { setup.failpoints } else { "" };
            stage.start_replica(number, failpoints);
        }
        stage.world.wait_until_ready().await;
        stage
    }

    /// Begins to send.
    pub(crate) fn load(&mut self, load: Load) {
        let urls: Vec<String> = self
            .replicas
            .iter()
            .map(|replica| format!("http://{}", replica.bind))
            .collect();
        self.generator = Some(Generator::start(load, &Arc::from(urls), &self.tenants));
    }

    /// Waits until so many messages were accepted.
    pub(crate) async fn accepted(&self, count: usize) {
        let generator = self.generator.as_ref().unwrap();
        eventually(&format!("{count} accepted messages"), async || {
            (generator.accepted() >= count).then_some(())
        })
        .await;
    }

    /// How many messages were accepted until now.
    pub(crate) fn accepted_so_far(&self) -> usize {
        self.generator.as_ref().unwrap().accepted()
    }

    /// What calls were answered with a 5xx.
    pub(crate) fn server_errors(&self) -> Vec<String> {
        self.generator.as_ref().unwrap().server_errors()
    }

    pub(crate) fn start_replica(&mut self, number: usize, failpoints: &str) {
        let replica = &mut self.replicas[number];
        let process = Command::new(env!("CARGO_BIN_EXE_outbound-message-service"))
            .envs(self.world.environment())
            .env("OUTBOUND__HTTP__BIND", &replica.bind)
            .env("FAILPOINTS", failpoints)
            // Shown when the case fails.
            .env("OUTBOUND__TELEMETRY__LOG", "warn")
            .spawn()
            .unwrap();
        replica.process = Some(process);
    }

    /// SIGKILL, and again.
    pub(crate) fn kill_and_start(&mut self, number: usize) {
        let mut process = self.replicas[number].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        self.start_replica(number, "");
    }

    /// Waits until a failpoint has ended the replica, then starts it without one.
    pub(crate) async fn revive(&mut self, number: usize) {
        eventually("the failpoint to end the process", async || {
            let process = self.replicas[number].process.as_mut().unwrap();
            process.try_wait().unwrap()
        })
        .await;
        self.start_replica(number, "");
    }

    /// SIGTERM; waits for the end, which must be a good one.
    pub(crate) async fn stop_replica(&mut self, number: usize) {
        let mut process = self.replicas[number].process.take().unwrap();
        let id = process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let ended = eventually("the replica to stop", async || process.try_wait().unwrap()).await;
        assert!(ended.success(), "{ended}");
    }

    /// Waits until a replica takes calls.
    pub(crate) async fn replica_is_ready(&self, number: usize) {
        let url = format!("http://{}/health/ready", self.replicas[number].bind);
        eventually("the replica to be ready", async || {
            let answer = self.world.http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Ends the load, waits until all is quiet and judges.
    pub(crate) async fn judge(&mut self) -> Evidence {
        let generator = self.generator.take().unwrap();
        let (seed, wishes) = generator.finish().await;
        let moving = self.quiet().await;
        let evidence = Evidence {
            wishes,
            taken: self.taken(),
            rows: self.rows(),
            events: self.events(),
            owners: self.owners(),
            at_least_once: self
                .world
                .db
                .query(
                    "SELECT tenant_id FROM sending_policies WHERE unknown_policy = 'at_least_once'",
                )
                .into_iter()
                .collect(),
            may_rest: self.may_rest.clone(),
            poison: self.poison.clone(),
            dead_letters: self.dead_letters(),
            webhooks_came: self.webhooks_come,
        };
        let violations = check(&evidence);
        let shown: Vec<_> = violations
            .iter()
            .take(20)
            .map(ToString::to_string)
            .collect();
        assert!(
            violations.is_empty() && moving.is_empty(),
            "seed {seed}: {} broken promises of {} messages, {} taken:\n{}\nstill moving: {moving:?}",
            violations.len(),
            evidence.rows.len(),
            evidence.taken.len(),
            shown.join("\n"),
        );
        evidence
    }

    /// Waits until nothing moves; answers what still does when the patience is over.
    async fn quiet(&self) -> Vec<String> {
        // What came in longer may leave longer.
        let patience = Instant::now() + PATIENCE + long_form();
        loop {
            let moving = self.moving();
            if moving.is_empty() || Instant::now() > patience {
                return moving;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Messages that are not at rest, by status; events that wait, by key; webhooks that are to come.
    fn moving(&self) -> Vec<String> {
        let restful: Vec<_> = self
            .may_rest
            .iter()
            .map(|status| format!("'{status}'"))
            .collect();
        let mut moving = self.world.db.query(&format!(
            "SELECT count(*) || ' messages ' || status || ', one is ' || min(message_id::text) \
                 FROM messages WHERE status NOT IN ({}) GROUP BY status \
             UNION ALL SELECT count(*) || ' unpublished ' || routing_key || ' since ' || min(created_at) \
                 FROM outbox_events WHERE published_at IS NULL GROUP BY routing_key",
            restful.join(", ")
        ));
        let webhooks = self.world.sandbox.webhooks_under_way();
        let missing = self.poison.len().saturating_sub(self.dead_letters().len());
        if missing > 0 {
            moving.push(format!("{missing} dead letters are to come"));
        }
        if webhooks > 0 {
            moving.push(format!("{webhooks} webhooks under way"));
        }
        moving
    }

    fn taken(&self) -> Vec<Taken> {
        let calls = self.world.sandbox.journal().accepted_messages();
        let mut taken = Vec::new();
        for call in calls {
            let note = call.body["biz_opaque_callback_data"].as_str().unwrap();
            let message_id = note.split('.').nth(1).unwrap();
            taken.push(Taken {
                message_id: Uuid::parse_str(message_id).unwrap(),
                phone_number_id: call.phone_number_id.clone(),
                recipient: call.to().unwrap().to_owned(),
            });
        }
        taken
    }

    fn rows(&self) -> Vec<Row> {
        let rows = self.json(
            "SELECT json_build_object('id', m.message_id, 'tenant', m.tenant_id, 'number', m.phone_number_id, \
                 'to', m.recipient, 'text', m.content #>> '{text,body}', 'seq', m.seq, 'status', m.status, \
                 'class', m.error ->> 'class', 'duplicate', m.possible_duplicate, \
                 'unknown', (SELECT count(*) FROM message_attempts a WHERE a.message_id = m.message_id \
                     AND a.outcome = 'unknown')) FROM messages m",
        );
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.iter()
            .map(|row| Row {
                message_id: text(row, "id").parse().unwrap(),
                tenant: text(row, "tenant"),
                phone_number_id: text(row, "number"),
                recipient: text(row, "to"),
                text: text(row, "text"),
                seq: row["seq"].as_i64().unwrap(),
                status: text(row, "status"),
                error_class: row["class"].as_str().map(str::to_owned),
                possible_duplicate: row["duplicate"] == true,
                unknown_attempts: row["unknown"].as_u64().unwrap().try_into().unwrap(),
            })
            .collect()
    }

    fn events(&self) -> Vec<Told> {
        let rows = self.json(
            "SELECT json_build_object('tenant', tenant_id, 'subject', subject, 'kind', routing_key) \
             FROM outbox_events WHERE exchange = 'agent-portal.events' AND routing_key IN \
                 ('message.accepted', 'message.sent', 'message.delivered', 'message.read', 'message.failed')",
        );
        rows.iter()
            .map(|row| Told {
                tenant: row["tenant"].as_str().unwrap().to_owned(),
                subject: row["subject"].as_str().unwrap().to_owned(),
                kind: row["kind"].as_str().unwrap().to_owned(),
            })
            .collect()
    }

    fn dead_letters(&self) -> Vec<String> {
        let rows = self
            .json("SELECT json_build_object('body', convert_from(body, 'UTF8')) FROM dead_letters");
        rows.iter()
            .map(|row| row["body"].as_str().unwrap().to_owned())
            .collect()
    }

    fn json(&self, sql: &str) -> Vec<Value> {
        let rows = self.world.db.query(sql);
        rows.iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect()
    }

    fn owners(&self) -> HashMap<String, String> {
        self.tenants
            .iter()
            .map(|tenant| (tenant.phone_number_id.clone(), tenant.name.clone()))
            .collect()
    }
}

/// A tenant with its own account at the sandbox.
fn add_tenant(world: &World, number: usize) -> Tenant {
    let session = SessionId::generate();
    let tenant = Tenant {
        name: format!("chaos{number}"),
        phone_number_id: format!("25000000000{number:04}"),
        access_token: world.sisters.token_for(&format!("chaos{number}"), session),
        graph_token: format!("EAASANDBOXchaos{number:028}"),
    };
    let waba_id = format!("15000000000{number:04}");
    let display = format!("+1 555-020-{number:04}");
    let account: NewWaba = serde_json::from_value(json!({
        "waba": {"id": waba_id, "name": tenant.name, "phones": [{
            "id": tenant.phone_number_id, "display_phone_number": display, "country_code": "1",
            "verified_name": tenant.name,
        }]},
        "token": {"name": tenant.name, "value": tenant.graph_token, "waba_ids": [waba_id]},
    }))
    .unwrap();
    world.sandbox.add_waba(account);
    // The session is there in truth, too: a Redis that forgot must not end it.
    let (name, user) = (&tenant.name, Uuid::now_v7());
    world.db.execute(&format!(
        "INSERT INTO tenants (tenant_id, name) VALUES ('{name}', 'name'); \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
             VALUES ('{user}', '{name}', 'org', 'user', 'name'); \
         INSERT INTO genesys_user_sessions (session_id, tenant_id, user_id, refresh_token_hash, \
             genesys_region, idle_expires_at, expires_at) \
             VALUES ('{session}', '{name}', '{user}', '', 'region', \
                 now() + interval '1 day', now() + interval '1 day')"
    ));
    let mut known = profile(&world.vault, &tenant.name);
    let whatsapp = known.whatsapp.as_mut().unwrap();
    whatsapp.waba_id = waba_id;
    whatsapp.phone_number_id.clone_from(&tenant.phone_number_id);
    whatsapp.display_phone_number = display;
    whatsapp.sealed_access_token = seal(&world.vault, &tenant.name, &tenant.graph_token);
    world.sisters.put(known);
    tenant
}

fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}
