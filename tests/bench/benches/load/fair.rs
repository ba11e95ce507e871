//! What a flood of one tenant costs another one.

use std::{collections::HashMap, time::Duration};

use portal_bench::{Latencies, Load, Request, World};
use serde_json::{Value, json};

use crate::report::{Report, millis};

const FLOOD: usize = 10_000;
const SAMPLES: usize = 200;
const BETWEEN: Duration = Duration::from_millis(40);
const CALLERS: usize = 16;
const ACCEPTED: u16 = 202;
const WANTED_RATIO: f64 = 2.0;

/// The quiet tenant's time from acceptance to Meta, alone and beside a flood.
pub(crate) async fn run() -> Report {
    let world = World::prepare(2).await;
    crate::quiet_sandbox(&world).await;
    let service = world.start_service("fair", &[]).await;
    sample(&world, &service.address, 0).await; // warms up
    let mut alone = sample(&world, &service.address, 1).await;

    let flood = Load::connect(&service.address, CALLERS).await;
    let token = world.tenants[0].token.clone();
    flood
        .run_each(FLOOD / CALLERS, ACCEPTED, move |caller, n| {
            let body =
                json!({"to": format!("+1{caller:03}{n:07}"), "text": "Test message"}).to_string();
            Request::post("/api/messages/send", &token, &[], &body)
        })
        .await;
    let mut beside = sample(&world, &service.address, 2).await;
    let waiting = world
        .db
        .query("SELECT count(*) FROM messages WHERE tenant_id = 'bench0' AND status = 'accepted'");

    let mut report = Report::new("fair", "A flood beside a quiet tenant");
    let (quiet, loaded) = (alone.percentile(99), beside.percentile(99));
    report.line(format_args!(
        "{SAMPLES} messages of one tenant, one after the other, from acceptance to their arrival at Meta. \
         Alone: p50 {}, p99 {}. While another tenant has {FLOOD} waiting ({} were left at the end): p50 {}, \
         p99 {}.\n",
        millis(alone.percentile(50)),
        millis(quiet),
        waiting.first().map_or("0", String::as_str),
        millis(beside.percentile(50)),
        millis(loaded),
    ));
    let ratio = loaded.as_secs_f64() / quiet.as_secs_f64();
    report.goal(
        format_args!("p99 beside / alone = {ratio:.2}, wanted at most {WANTED_RATIO}"),
        ratio <= WANTED_RATIO,
    );
    report
}

/// Sends one message after the other; how long each was on its way to Meta, by the clock of this
/// machine.
async fn sample(world: &World, address: &str, round: usize) -> Latencies {
    let tenant = &world.tenants[1];
    let load = Load::connect(address, 1).await;
    for n in 0..SAMPLES {
        let token = tenant.token.clone();
        let to = format!("+49{round:03}{n:07}");
        load.run_each(1, ACCEPTED, move |_, _| {
            let body = json!({"to": to, "text": "Test message"}).to_string();
            Request::post("/api/messages/send", &token, &[], &body)
        })
        .await;
        // Slower than the number's pace: how long its own messages wait for that is not the question.
        tokio::time::sleep(BETWEEN).await;
    }
    let prefix = format!("+49{round:03}");
    let arrived = arrivals(world, &tenant.phone_number_id, &prefix).await;
    let accepted = world.db.query(&format!(
        "SELECT recipient || ' ' || (extract(epoch FROM accepted_at) * 1000000)::bigint \
         FROM messages WHERE recipient LIKE '{prefix}%'"
    ));
    let mut latencies = Latencies::default();
    for line in accepted {
        let (recipient, micros) = line.split_once(' ').unwrap();
        let accepted: i64 = micros.parse().unwrap();
        let arrived = arrived[recipient];
        latencies.push(Duration::from_micros(
            u64::try_from(arrived - accepted).unwrap_or_default(),
        ));
    }
    latencies
}

/// When each recipient's message came to Meta, in microseconds since 1970.
async fn arrivals(world: &World, number: &str, prefix: &str) -> HashMap<String, i64> {
    for _ in 0..200 {
        let url = format!(
            "{}/journal/sends?phone_number_id={number}&accepted=true&limit=2000",
            world.sandbox_url
        );
        let answer: Value = world
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let list = answer["sends"].as_array().unwrap();
        let found: HashMap<String, i64> = list
            .iter()
            .filter_map(|send| {
                let digits = send["recipient"].as_str()?.trim_start_matches('+');
                let recipient = format!("+{digits}");
                let at = send["at"]
                    .as_str()?
                    .parse::<chrono::DateTime<chrono::Utc>>()
                    .ok()?;
                recipient
                    .starts_with(prefix)
                    .then(|| (recipient, at.timestamp_micros()))
            })
            .collect();
        if found.len() >= SAMPLES {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not all messages came to Meta");
}
