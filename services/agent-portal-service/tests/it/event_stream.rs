//! `GET /api/agents/events`: each person their own events, once, and none after the end.

use std::time::Duration;

use portal_sandbox::seed;
use portal_test_harness::eventually;
use reqwest::{Method, Response, StatusCode};
use serde_json::json;

use crate::world::{Person, World};

const EVENTS: &str = "/api/agents/events";

async fn open(world: &World, api: &str, person: &Person, last: Option<&str>) -> Stream {
    let mut request = world
        .http
        .get(format!("{api}{EVENTS}"))
        .bearer_auth(&person.access)
        .timeout(Duration::from_mins(1));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    Stream {
        answer,
        text: String::new(),
    }
}

struct Stream {
    answer: Response,
    text: String,
}

impl Stream {
    /// Reads until the text stands there, or the stream ends.
    async fn until(&mut self, wanted: &str) -> &str {
        while !self.text.contains(wanted) {
            match self.answer.chunk().await.unwrap() {
                Some(chunk) => self.text.push_str(std::str::from_utf8(&chunk).unwrap()),
                None => break,
            }
        }
        assert!(self.text.contains(wanted), "no {wanted} in {}", self.text);
        &self.text
    }

    /// Reads to the end.
    async fn read_to_end(mut self) -> String {
        while let Some(chunk) = self.answer.chunk().await.unwrap() {
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        self.text
    }
}

/// An event as a use case writes it.
fn happen(world: &World, tenant: &str, user: Option<&Person>, min_role: &str, kind: &str) {
    let user = user.map_or("NULL".to_owned(), |user| {
        format!("'{}'", user.agent["user_id"].as_str().unwrap())
    });
    world.db.execute(&format!(
        "INSERT INTO live_events (tenant_id, user_id, min_role, type, data) \
         VALUES ('{tenant}', {user}, '{min_role}', '{kind}', '{{}}')"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_person_hears_their_own_and_what_their_role_may_know() {
    let world = World::start().await;
    let (second, _) = world.run_service().await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let globex = world.sign_in(seed::GLOBEX_AGENT).await;
    // On different replicas.
    let mut of_agent = open(&world, &world.api, &agent, None).await;
    let mut of_admin = open(&world, &second, &admin, None).await;
    let mut of_globex = open(&world, &world.api, &globex, None).await;
    for stream in [&mut of_agent, &mut of_admin, &mut of_globex] {
        stream.until("retry: ").await;
    }
    // The watchers know where their tenants stand.
    tokio::time::sleep(Duration::from_secs(1)).await;
    happen(&world, "acme_corp", Some(&agent), "agent", "for.agent");
    happen(&world, "acme_corp", None, "admin", "for.admins");
    happen(&world, "globex_inc", None, "agent", "for.globex");
    happen(&world, "acme_corp", None, "agent", "for.acme");
    for (stream, own, foreign) in [
        (
            &mut of_agent,
            ["for.agent", "for.acme"].as_slice(),
            ["for.admins", "for.globex"].as_slice(),
        ),
        (
            &mut of_admin,
            &["for.admins", "for.acme"],
            &["for.agent", "for.globex"],
        ),
        (
            &mut of_globex,
            &["for.globex"],
            &["for.agent", "for.admins", "for.acme"],
        ),
    ] {
        for kind in own {
            stream.until(&format!("event: {kind}\n")).await;
        }
        for kind in foreign {
            assert!(!stream.text.contains(kind), "{kind} in {}", stream.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_was_cut() {
    let world = World::start().await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let mut stream = open(&world, &world.api, &agent, None).await;
    stream.until("retry: ").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    happen(&world, "acme_corp", Some(&agent), "agent", "first");
    let text = stream.until("event: first").await;
    let last = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back()
        .unwrap()
        .to_owned();
    drop(stream);
    happen(&world, "acme_corp", Some(&agent), "agent", "second");
    happen(&world, "acme_corp", Some(&agent), "agent", "third");
    let mut again = open(&world, &world.api, &agent, Some(&last)).await;
    let text = again.until("event: third").await.to_owned();
    assert!(
        text.contains("event: second") && !text.contains("event: first"),
        "{text}"
    );
    assert!(!text.contains("event: reset"), "{text}");
    // Longer ago than anything is kept: all is to be read anew.
    let mut old = open(&world, &world.api, &agent, Some("1700000000000-1")).await;
    old.until("event: reset").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_session() {
    let world = World::start().await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let mut stream = open(&world, &world.api, &agent, None).await;
    stream.until("retry: ").await;
    world
        .call(Method::POST, "/api/agents/auth/logout", &agent.access)
        .await;
    let text = stream.read_to_end().await;
    assert!(
        text.ends_with("event: session.ended\ndata: {}\n\n"),
        "{text}"
    );
    let answer = world
        .http
        .get(format!("{}{EVENTS}", world.api))
        .bearer_auth(&agent.access)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_so_many_streams_and_no_more() {
    let world = World::start_with(&[("EVENTS__STREAMS_PER_USER", "2")]).await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let first = open(&world, &world.api, &agent, None).await;
    let _second = open(&world, &world.api, &agent, None).await;
    let (status, body) = world.call(Method::GET, EVENTS, &agent.access).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("TOO_MANY_STREAMS"))
    );
    let _others = open(&world, &world.api, &admin, None).await;
    drop(first);
    eventually("the place to be free", async || {
        let request = world
            .http
            .get(format!("{}{EVENTS}", world.api))
            .bearer_auth(&agent.access);
        (request.send().await.unwrap().status() == StatusCode::OK).then_some(())
    })
    .await;
}
