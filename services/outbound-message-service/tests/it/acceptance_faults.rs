//! Accepting under faults: what is answered 202 is committed, everything else stored nothing and says
//! when to come again.

use std::time::Duration;

use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
use portal_test_harness::{PrivatePostgres, TestDb, eventually};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    accepting::{call, text},
    world::{Servers, World, answer},
};

fn retry_after(headers: &HeaderMap) -> u64 {
    let value = headers.get("retry-after").expect("says when to come again");
    value.to_str().unwrap().parse().unwrap()
}

/// One writer, and nobody sends.
async fn one_writer(queue: &str) -> World {
    World::start_with(&[
        ("DELIVERY__ENABLED", "false"),
        ("ACCEPTANCE__WRITERS", "1"),
        ("ACCEPTANCE__QUEUE", queue),
        ("ACCEPTANCE__PATIENCE_MS", "60000"),
    ])
    .await
}

/// Sends a text while the test goes on.
fn send(world: &World, token: &str, to: &str) -> JoinHandle<(StatusCode, HeaderMap, Value)> {
    let request = world
        .http
        .post(format!("{}/api/messages", world.url))
        .bearer_auth(token)
        .json(&text(to));
    tokio::spawn(async move {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.json().await.unwrap())
    })
}

/// Keeps transactions from writing messages while it lives.
struct Jam(PgConnection);

impl Jam {
    fn new(db: &TestDb) -> Self {
        let mut connection = PgConnection::establish(&db.superuser_url()).unwrap();
        connection
            .batch_execute("BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE")
            .unwrap();
        Self(connection)
    }

    /// Waits until a transaction stands before it.
    async fn holds_somebody(&self, db: &TestDb) {
        let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'relation' \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        eventually("a transaction to wait", async || {
            (db.query(waiting) == ["true"]).then_some(())
        })
        .await;
    }

    fn end(mut self) {
        self.0.batch_execute("COMMIT").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_nothing_is_accepted_and_the_same_call_succeeds_later() {
    let postgres = PrivatePostgres::start();
    let servers = Servers {
        db: TestDb::new_on(postgres.url()),
        ..Servers::shared()
    };
    let mut world = World::prepare_on(servers, &[("DELIVERY__ENABLED", "false")]);
    world.run_service().await;
    let token = world.sisters.token("acme");
    let (status, _, before) = call(&world, &token, "", Some("before"), &text("+1234567000")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{before}");

    postgres.stop("immediate");
    let rows = json!({"messages": [text("+1234567001"), text("+1234567002")]});
    for (path, key, body) in [
        ("", Some("one"), text("+1234567000")),
        ("", None, text("+1234567000")),
        ("/send", None, json!({"to": "+1234567000", "text": "Hello"})),
        ("/bulk", Some("many"), rows.clone()),
        ("?dry_run=true", None, text("+1234567000")),
    ] {
        let (status, headers, answer) = call(&world, &token, path, key, &body).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {answer}");
        assert!(retry_after(&headers) > 0);
        let code = answer["error"]["code"].as_str().unwrap();
        assert_eq!(code, "DATABASE_UNAVAILABLE");
    }
    postgres.resume();
    // What the caller was told was true: nothing was stored, and its key is still free.
    let after = eventually("it to be accepted", async || {
        let body = text("+1234567000");
        let (status, headers, answer) = call(&world, &token, "", Some("one"), &body).await;
        assert!(!headers.contains_key("idempotent-replayed"), "{answer}");
        (status == StatusCode::ACCEPTED).then_some(answer)
    })
    .await;
    let (status, _, answer) = call(&world, &token, "/bulk", Some("many"), &rows).await;
    assert_eq!(
        (status, &answer["accepted"]),
        (StatusCode::ACCEPTED, &json!(2)),
        "{answer}"
    );
    // What was accepted before the crash is there.
    let (status, _, replayed) =
        call(&world, &token, "", Some("before"), &text("+1234567000")).await;
    assert_eq!((status, &replayed), (StatusCode::ACCEPTED, &before));
    for id in [&before, &after] {
        let id = id["message_id"].as_str().unwrap();
        assert_eq!(world.get(&token, id).await.1["status"], "accepted");
    }
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_commits_what_it_holds() {
    let world = one_writer("2").await;
    let token = world.sisters.token("acme");
    let jam = Jam::new(&world.db);
    let first = send(&world, &token, "+1234567000");
    jam.holds_somebody(&world.db).await;
    // One is being committed, one is next, two are in the queue: of eight more, five find no room.
    let mut waiting = vec![first];
    waiting.extend((0..8).map(|n| send(&world, &token, &format!("+123456701{n}"))));
    eventually("five to be answered", async || {
        let answered = waiting.iter().filter(|call| call.is_finished()).count();
        (answered == 5).then_some(())
    })
    .await;
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);
    let (refused, held): (Vec<_>, Vec<_>) = waiting.into_iter().partition(JoinHandle::is_finished);
    for call in refused {
        let (status, headers, answer) = call.await.unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        assert_eq!(answer["error"]["code"], "BUSY");
        assert!(retry_after(&headers) > 0);
    }
    jam.end();
    let mut accepted = Vec::new();
    for call in held {
        let (status, _, answer) = call.await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        accepted.push(answer["message_id"].as_str().unwrap().to_owned());
    }
    accepted.sort_unstable();
    let stored = "SELECT message_id FROM messages ORDER BY message_id";
    assert_eq!(world.db.query(stored), accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_fails_alone_and_nobody_is_answered_before_the_commit() {
    let world = one_writer("2048").await;
    let token = world.sisters.token("acme");
    // The database refuses one contact at once, and another when the transaction is to be committed.
    world.db.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'refused'; END $$; \
         CREATE TRIGGER at_once BEFORE INSERT ON messages FOR EACH ROW \
             WHEN (NEW.recipient = '+1234567666') EXECUTE FUNCTION refuse(); \
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW WHEN (NEW.recipient = '+1234567667') EXECUTE FUNCTION refuse()",
    );
    for bad in ["+1234567666", "+1234567667"] {
        let jam = Jam::new(&world.db);
        let first = send(&world, &token, "+1234567000");
        jam.holds_somebody(&world.db).await;
        // These wait for the writer together.
        let contacts = ["+1234567001", bad, "+1234567002", "+1234567003"];
        let together: Vec<_> = contacts.map(|to| send(&world, &token, to)).into();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let early = together.iter().any(JoinHandle::is_finished);
        assert!(!early && !first.is_finished(), "nothing is committed yet");
        jam.end();
        assert_eq!(first.await.unwrap().0, StatusCode::ACCEPTED);
        for (to, call) in contacts.iter().zip(together) {
            let (status, _, answer) = call.await.unwrap();
            let expected = if *to == bad {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::ACCEPTED
            };
            assert_eq!(status, expected, "{to}: {answer}");
            assert!(!answer.to_string().contains("refused"), "{answer}");
        }
        let stored = format!("SELECT count(*) FROM messages WHERE recipient = '{bad}'");
        assert_eq!(world.db.query(&stored), ["0"]);
        // Not even an event of it.
        let told = format!("SELECT count(*) FROM outbox_events WHERE payload::text LIKE '%{bad}%'");
        assert_eq!(world.db.query(&told), ["0"]);
    }
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["8"]);
    let request = world.http.get(format!("{}/health/ready", world.url));
    assert_eq!(answer(request).await.0, StatusCode::OK);
}
