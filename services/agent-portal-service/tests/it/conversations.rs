//! Conversations over HTTP, kept from events as outbound-message-service tells them.

use std::{collections::HashMap, sync::Arc};

use portal_auth::{AccessSubject, Issuer, SigningKeys};
use portal_sandbox::seed;
use portal_test_harness::eventually;
use portal_types::{ConversationId, Role, SessionId, TenantId, UserId};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    access::{AUDIENCE, ISSUER, own_key},
    world::{World, answer},
};

const NUMBER: &str = "106540352242922";

/// Somebody of acme with a token, without the way through Genesys.
struct Colleague {
    id: UserId,
    token: String,
}

struct Team<'a> {
    world: &'a World,
    issuer: Issuer,
}

impl<'a> Team<'a> {
    fn of(world: &'a World) -> Self {
        let keys = SigningKeys::new(own_key(world), &[]);
        Self {
            world,
            issuer: Issuer::new(ISSUER, AUDIENCE, keys),
        }
    }

    fn join(&self, name: &str, role: Role) -> Colleague {
        self.join_of("acme_corp", name, role)
    }

    fn join_of(&self, tenant: &str, name: &str, role: Role) -> Colleague {
        let id = UserId::generate();
        self.world.db.execute(&format!(
            "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role, role_changed_at) \
             VALUES ('{id}', '{tenant}', 'o', '{id}', '{name}', '{role}', now() - interval '1 hour')"
        ));
        let subject = AccessSubject {
            user_id: id,
            tenant_id: TenantId::parse(tenant).unwrap(),
            role,
            session_id: SessionId::generate(),
        };
        let issued = self.issuer.issue_access(&subject).unwrap();
        Colleague {
            id,
            token: issued.token.expose_secret().to_owned(),
        }
    }
}

async fn do_with(
    world: &World,
    who: &Colleague,
    id: &str,
    what: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let mut request = world
        .http
        .post(format!("{}/api/conversations/{id}/{what}", world.api))
        .bearer_auth(&who.token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    answer(request).await
}

async fn look(world: &World, who: &Colleague, path: &str) -> (StatusCode, Value) {
    let path = format!("/api/conversations{path}");
    world.call(Method::GET, &path, &who.token).await
}

fn conversation(contact: &str) -> String {
    let acme = TenantId::parse("acme_corp").unwrap();
    ConversationId::of(&acme, NUMBER, contact).to_string()
}

/// The contact wrote.
async fn write(world: &World, contact: &str, text: &str) -> Value {
    let (id, now) = (Uuid::now_v7(), chrono::Utc::now());
    let data = json!({
        "wamid": format!("wamid.{id}"), "tenant_id": "acme_corp", "conversation_id": conversation(contact),
        "from": contact, "contact_name": "Ada", "type": "text", "payload": {"text": {"body": text}},
        "inbound_id": id, "phone_number_id": NUMBER, "wa_id": contact.trim_start_matches('+'),
        "sent_at": now, "window_expires_at": now + chrono::Duration::hours(24),
    });
    tell(world, "message.received", data).await
}

async fn tell(world: &World, kind: &str, data: Value) -> Value {
    let event = json!({
        "specversion": "1.0", "id": Uuid::now_v7(), "source": "/services/outbound-message-service",
        "type": format!("com.agentportal.{kind}.v1"), "subject": "s", "time": chrono::Utc::now(),
        "tenantid": "acme_corp", "data": data,
    });
    world.publish_body(kind, &event).await;
    event
}

/// Waits until a conversation has so many messages that nobody read.
async fn has_unread(world: &World, who: &Colleague, contact: &str, count: u32) -> Value {
    let path = format!("/{}", conversation(contact));
    eventually("the messages to be kept", async || {
        let (_, found) = look(world, who, &path).await;
        (found["unread_count"] == count).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_kept_taken_handed_over_and_closed() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let (ann, bob) = (team.join("Ann", Role::Agent), team.join("Bob", Role::Agent));
    let boss = team.join("Boss", Role::Supervisor);
    let told = world.listen("conversation.#").await;
    let contact = "+14155550001";
    let id = conversation(contact);

    let event = write(&world, contact, "hello").await;
    let found = has_unread(&world, &ann, contact, 1).await;
    assert_eq!(found["contact_name"], "Ada");
    assert_eq!(found["wa_id"], "14155550001");
    assert_eq!(found["last_message"], "hello");
    assert_eq!(found["status"], "open");
    assert_eq!(found["assigned_to"], Value::Null);
    assert_eq!(
        told.next().await.envelope["type"],
        "com.agentportal.conversation.opened.v1"
    );

    // Ann takes it; Bob comes too late, and then sees it no more.
    let (status, taken) = do_with(&world, &ann, &id, "assign", None).await;
    assert_eq!(status, StatusCode::OK, "{taken}");
    assert_eq!(taken["is_assigned_to_me"], true);
    let (status, refused) = do_with(&world, &bob, &id, "assign", None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["error"]["code"], "ALREADY_ASSIGNED");
    assert_eq!(
        refused["error"]["details"]["assigned_to"]["user_name"],
        "Ann"
    );
    for path in [
        format!("/{id}"),
        format!("/{id}/messages"),
        format!("/{id}/history"),
    ] {
        assert_eq!(
            look(&world, &bob, &path).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for what in ["release", "close", "reopen", "read"] {
        let (status, body) = do_with(&world, &bob, &id, what, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{what}: {body}");
    }
    let (_, list) = look(&world, &bob, "").await;
    assert_eq!(list["conversations"], json!([]));

    // To nobody of another organization, to nobody who is switched off.
    let stranger = team.join_of("globex_inc", "Eve", Role::Agent);
    let gone = team.join("Gone", Role::Agent);
    world.db.execute(&format!(
        "UPDATE genesys_users SET is_active = false, deactivated_by = 'admin' WHERE user_id = '{}'",
        gone.id
    ));
    for (to, expected) in [
        (stranger.id, (StatusCode::NOT_FOUND, "USER_NOT_FOUND")),
        (gone.id, (StatusCode::CONFLICT, "USER_DEACTIVATED")),
    ] {
        let body = json!({"to_user_id": to});
        let (status, body) = do_with(&world, &ann, &id, "transfer", Some(body)).await;
        assert_eq!((status, body["error"]["code"].as_str().unwrap()), expected);
    }
    let body =
        json!({"to_user_id": bob.id, "reason": "speaks French", "version": taken["version"]});
    let (status, moved) = do_with(&world, &ann, &id, "transfer", Some(body.clone())).await;
    assert_eq!(status, StatusCode::OK, "{moved}");
    assert_eq!(moved["assigned_to"]["user_name"], "Bob");
    // What Ann knows is old now, and it is Bob's.
    assert_eq!(
        do_with(&world, &ann, &id, "transfer", Some(body.clone()))
            .await
            .0,
        StatusCode::NOT_FOUND
    );
    let stale = json!({"version": taken["version"]});
    let (status, refused) = do_with(&world, &boss, &id, "release", Some(stale)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["error"]["code"], "CONVERSATION_CHANGED");
    assert_eq!(
        refused["error"]["details"]["assigned_to"]["user_name"],
        "Bob"
    );

    let (status, read) = do_with(&world, &bob, &id, "read", None).await;
    assert_eq!((status, &read["unread_count"]), (StatusCode::OK, &json!(0)));
    let (status, closed) =
        do_with(&world, &bob, &id, "close", Some(json!({"reason": "done"}))).await;
    assert_eq!(status, StatusCode::OK, "{closed}");
    assert_eq!(
        (&closed["status"], &closed["assigned_to"]),
        (&json!("closed"), &Value::Null)
    );

    // The same event again changes nothing; another message opens it.
    world.publish_body("message.received", &event).await;
    write(&world, contact, "one more thing").await;
    let found = has_unread(&world, &boss, contact, 1).await;
    assert_eq!(
        (&found["status"], &found["last_message"]),
        (&json!("open"), &json!("one more thing"))
    );
    let (_, messages) = look(&world, &boss, &format!("/{id}/messages?limit=1")).await;
    assert_eq!(messages["messages"][0]["text"], "one more thing");
    let cursor = messages["next_cursor"].as_str().unwrap();
    let (_, messages) = look(
        &world,
        &boss,
        &format!("/{id}/messages?limit=1&cursor={cursor}"),
    )
    .await;
    assert_eq!(messages["messages"][0]["text"], "hello");
    assert_eq!(messages["next_cursor"], Value::Null);

    let mut names = Vec::new();
    for _ in 0..4 {
        let event = told.next().await.envelope;
        assert_eq!(event["data"]["conversation_id"], id.as_str());
        names.push(event["type"].as_str().unwrap().to_owned());
    }
    let expected = ["assigned", "transferred", "closed", "reopened"]
        .map(|name| format!("com.agentportal.conversation.{name}.v1"));
    assert_eq!(names, expected);
    let (_, history) = look(&world, &boss, &format!("/{id}/history")).await;
    let held: Vec<_> = history["assignments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["user"]["user_name"].as_str().unwrap(),
                row["status"].as_str().unwrap(),
                row["reason"].clone(),
            )
        })
        .collect();
    assert_eq!(
        held,
        [
            ("Bob", "closed", json!("speaks French")),
            ("Ann", "transferred", Value::Null)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_people_take_the_same_hundred_conversations_and_each_has_one_holder() {
    const CONVERSATIONS: usize = 100;
    const PEOPLE: usize = 50;
    let world = World::start_with(&[
        ("LIMITS__PER_ADDRESS_PER_MINUTE", "1000000"),
        ("LIMITS__PER_ADDRESS_BURST", "1000000"),
        ("LIMITS__PER_CALLER_PER_MINUTE", "1000000"),
        ("LIMITS__PER_TENANT_PER_MINUTE", "1000000"),
        ("DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
    ])
    .await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let people: Vec<Colleague> = (0..PEOPLE)
        .map(|n| team.join(&format!("Person {n}"), Role::Agent))
        .collect();
    let contacts: Vec<String> = (0..CONVERSATIONS)
        .map(|n| format!("+1415555{n:04}"))
        .collect();
    for contact in &contacts {
        write(&world, contact, "hello").await;
    }
    let boss = team.join("Boss", Role::Supervisor);
    for contact in &contacts {
        has_unread(&world, &boss, contact, 1).await;
    }

    let world = Arc::new(world);
    let ids: Arc<Vec<String>> = Arc::new(contacts.iter().map(|c| conversation(c)).collect());
    let mut running = tokio::task::JoinSet::new();
    for person in people {
        let (world, ids) = (Arc::clone(&world), Arc::clone(&ids));
        running.spawn(async move {
            let mut answers = Vec::new();
            for id in ids.iter() {
                answers.push(do_with(&world, &person, id, "assign", None).await);
            }
            (person.id, answers)
        });
    }
    let mut winners: HashMap<usize, UserId> = HashMap::new();
    let mut losers: Vec<(usize, String)> = Vec::new();
    while let Some(done) = running.join_next().await {
        let (person, answers) = done.unwrap();
        for (n, (status, body)) in answers.into_iter().enumerate() {
            if status == StatusCode::OK {
                assert_eq!(winners.insert(n, person), None, "two have conversation {n}");
            } else {
                assert_eq!(status, StatusCode::CONFLICT, "{body}");
                assert_eq!(body["error"]["code"], "ALREADY_ASSIGNED");
                let holder = &body["error"]["details"]["assigned_to"]["user_id"];
                losers.push((n, holder.as_str().unwrap().to_owned()));
            }
        }
    }
    assert_eq!(winners.len(), CONVERSATIONS);
    assert_eq!(losers.len(), CONVERSATIONS * (PEOPLE - 1));
    for (n, holder) in losers {
        assert_eq!(holder, winners[&n].to_string(), "who has conversation {n}");
    }
    assert_eq!(
        world.value("SELECT count(*) FROM conversation_assignments WHERE status = 'active'"),
        CONVERSATIONS.to_string()
    );
    assert_eq!(
        world.value(
            "SELECT count(*) FROM conversations c JOIN conversation_assignments a USING (tenant_id, conversation_id) \
             WHERE a.status = 'active' AND a.user_id = c.assigned_to"
        ),
        CONVERSATIONS.to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_show_where_a_message_stands_and_browsers_are_told() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let ann = team.join("Ann", Role::Agent);
    let contact = "+14155550001";
    let id = Uuid::now_v7();
    let report = |at: chrono::DateTime<chrono::Utc>| json!({"message_id": id, "wamid": "wamid.1", "tenant_id": "acme_corp", "to": contact, "at": at});
    let now = chrono::Utc::now();
    tell(&world, "message.read", report(now)).await;
    tell(&world, "message.sent", report(now)).await;
    let accepted = json!({
        "message_id": id, "tenant_id": "acme_corp", "conversation_id": conversation(contact), "to": contact,
        "type": "template", "sent_by": {"kind": "api_key", "id": "k"}, "phone_number_id": NUMBER,
        "content": {"template": {"name": "welcome"}},
    });
    tell(&world, "message.accepted", accepted).await;
    let path = format!("/{}/messages", conversation(contact));
    let message = eventually("the message to be read", async || {
        let (_, found) = look(&world, &ann, &path).await;
        let message = found["messages"][0].clone();
        (message["status"] == "read").then_some(message)
    })
    .await;
    assert_eq!(message["message_id"], id.to_string());
    assert_eq!(message["direction"], "outbound");
    assert_eq!(message["sent_by"], json!({"kind": "api_key", "id": "k"}));
    let (_, list) = look(&world, &ann, "?assigned=none&status=open").await;
    assert_eq!(list["conversations"][0]["last_message"], "welcome");
    // Nobody waits who has not written.
    assert_eq!(list["conversations"][0]["waiting_since"], Value::Null);
    let told = world
        .db
        .query("SELECT type FROM live_events ORDER BY event_seq");
    assert_eq!(told, ["conversation.changed", "message.created"]);

    let (status, body) = look(&world, &ann, "?status=lost&assigned=x&limit=0&cursor=!").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let fields = body["error"]["details"].as_array().unwrap();
    assert_eq!(fields.len(), 4, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_switched_off_holds_nothing() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let ann = team.join("Ann", Role::Agent);
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let contact = "+14155550001";
    write(&world, contact, "hello").await;
    has_unread(&world, &ann, contact, 1).await;
    let id = conversation(contact);
    assert_eq!(
        do_with(&world, &ann, &id, "assign", None).await.0,
        StatusCode::OK
    );
    let request = world
        .http
        .patch(format!("{}/api/organization/users/{}", world.api, ann.id))
        .bearer_auth(&admin.access)
        .json(&json!({"active": false}));
    assert_eq!(answer(request).await.0, StatusCode::OK);
    let path = format!("/api/conversations/{id}");
    let (_, found) = world.call(Method::GET, &path, &admin.access).await;
    assert_eq!(found["assigned_to"], Value::Null);
    assert_ne!(found["waiting_since"], Value::Null);
}
