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

pub(crate) const NUMBER: &str = "106540352242922";

/// Somebody of acme with a token, without the way through Genesys.
pub(crate) struct Colleague {
    pub(crate) id: UserId,
    pub(crate) token: String,
}

pub(crate) struct Team<'a> {
    world: &'a World,
    issuer: Issuer,
}

impl<'a> Team<'a> {
    pub(crate) fn of(world: &'a World) -> Self {
        let keys = SigningKeys::new(own_key(world), &[]);
        Self {
            world,
            issuer: Issuer::new(ISSUER, AUDIENCE, keys),
        }
    }

    pub(crate) fn join(&self, name: &str, role: Role) -> Colleague {
        self.join_of("acme_corp", name, role)
    }

    pub(crate) fn join_of(&self, tenant: &str, name: &str, role: Role) -> Colleague {
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

pub(crate) async fn do_with(
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

pub(crate) async fn look(world: &World, who: &Colleague, path: &str) -> (StatusCode, Value) {
    let path = format!("/api/conversations{path}");
    world.call(Method::GET, &path, &who.token).await
}

pub(crate) fn conversation(contact: &str) -> String {
    let acme = TenantId::parse("acme_corp").unwrap();
    ConversationId::of(&acme, NUMBER, contact).to_string()
}

/// The contact wrote.
pub(crate) async fn write(world: &World, contact: &str, text: &str) -> Value {
    let (id, now) = (Uuid::now_v7(), chrono::Utc::now());
    let data = json!({
        "wamid": format!("wamid.{id}"), "tenant_id": "acme_corp", "conversation_id": conversation(contact),
        "from": contact, "contact_name": "Ada", "type": "text", "payload": {"text": {"body": text}},
        "inbound_id": id, "phone_number_id": NUMBER, "wa_id": contact.trim_start_matches('+'),
        "sent_at": now, "window_expires_at": now + chrono::Duration::hours(24),
    });
    tell(world, "message.received", data).await
}

pub(crate) async fn tell(world: &World, kind: &str, data: Value) -> Value {
    let event = json!({
        "specversion": "1.0", "id": Uuid::now_v7(), "source": "/services/outbound-message-service",
        "type": format!("com.agentportal.{kind}.v1"), "subject": "s", "time": chrono::Utc::now(),
        "tenantid": "acme_corp", "data": data,
    });
    world.publish_body(kind, &event).await;
    event
}

/// Waits until a conversation has so many messages that nobody read.
pub(crate) async fn has_unread(world: &World, who: &Colleague, contact: &str, count: u32) -> Value {
    let path = format!("/{}", conversation(contact));
    eventually("the messages to be kept", async || {
        let (_, found) = look(world, who, &path).await;
        (found["unread_count"] == count).then_some(found)
    })
    .await
}

pub(crate) const CONTACT: &str = "+14155550001";

/// Two agents and a supervisor, and a contact who wrote.
struct Desk<'a> {
    world: &'a World,
    team: Team<'a>,
    ann: Colleague,
    bob: Colleague,
    boss: Colleague,
    id: String,
    /// The event of the contact's message.
    event: Value,
}

impl<'a> Desk<'a> {
    async fn open(world: &'a World) -> Self {
        world.consumers_are_up().await;
        let team = Team::of(world);
        let boss = team.join("Boss", Role::Supervisor);
        let event = write(world, CONTACT, "hello").await;
        has_unread(world, &boss, CONTACT, 1).await;
        Self {
            world,
            ann: team.join("Ann", Role::Agent),
            bob: team.join("Bob", Role::Agent),
            boss,
            team,
            id: conversation(CONTACT),
            event,
        }
    }

    async fn act(&self, who: &Colleague, what: &str, body: Option<Value>) -> (StatusCode, Value) {
        do_with(self.world, who, &self.id, what, body).await
    }

    /// As [`Desk::act`], and it is done.
    async fn done(&self, who: &Colleague, what: &str, body: Option<Value>) -> Value {
        let (status, body) = self.act(who, what, body).await;
        assert_eq!(status, StatusCode::OK, "{what}: {body}");
        body
    }

    /// As [`Desk::act`], and it is refused with this status and code.
    async fn refused(
        &self,
        who: &Colleague,
        what: &str,
        body: Option<Value>,
        expected: (StatusCode, &str),
    ) -> Value {
        let (status, body) = self.act(who, what, body).await;
        let code = body["error"]["code"].as_str().unwrap_or_default();
        assert_eq!((status, code), expected, "{what}: {body}");
        body["error"]["details"].clone()
    }
}

const NOT_THERE: (StatusCode, &str) = (StatusCode::NOT_FOUND, "CONVERSATION_NOT_FOUND");

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_is_told_who_was_first_and_sees_it_no_more() {
    let world = World::start().await;
    let desk = Desk::open(&world).await;
    let (_, found) = look(&world, &desk.ann, &format!("/{}", desk.id)).await;
    assert_eq!(found["contact_name"], "Ada");
    assert_eq!(found["wa_id"], "14155550001");
    assert_eq!(found["last_message"], "hello");
    assert_eq!(found["status"], "open");
    assert_eq!(found["assigned_to"], Value::Null);

    let taken = desk.done(&desk.ann, "assign", None).await;
    assert_eq!(taken["is_assigned_to_me"], true);
    let late = (StatusCode::CONFLICT, "ALREADY_ASSIGNED");
    let details = desk.refused(&desk.bob, "assign", None, late).await;
    assert_eq!(details["assigned_to"]["user_name"], "Ann");
    for path in ["", "/messages", "/history"] {
        let path = format!("/{}{path}", desk.id);
        let (status, _) = look(&world, &desk.bob, &path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    for what in ["release", "close", "reopen", "read"] {
        desk.refused(&desk.bob, what, None, NOT_THERE).await;
    }
    let (_, list) = look(&world, &desk.bob, "").await;
    assert_eq!(list["conversations"], json!([]));
    let (_, list) = look(&world, &desk.boss, "").await;
    assert_eq!(list["conversations"][0]["conversation_id"], desk.id);
    // Twice is once.
    let again = desk.done(&desk.ann, "assign", None).await;
    assert_eq!(again["version"], taken["version"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_to_active_colleagues_alone_and_only_as_it_was_seen() {
    let world = World::start().await;
    let desk = Desk::open(&world).await;
    let taken = desk.done(&desk.ann, "assign", None).await;
    let stranger = desk.team.join_of("globex_inc", "Eve", Role::Agent);
    let gone = desk.team.join("Gone", Role::Agent);
    world.db.execute(&format!(
        "UPDATE genesys_users SET is_active = false, deactivated_by = 'admin' WHERE user_id = '{}'",
        gone.id
    ));
    for (to, expected) in [
        (stranger.id, (StatusCode::NOT_FOUND, "USER_NOT_FOUND")),
        (
            UserId::generate(),
            (StatusCode::NOT_FOUND, "USER_NOT_FOUND"),
        ),
        (gone.id, (StatusCode::CONFLICT, "USER_DEACTIVATED")),
    ] {
        let body = json!({"to_user_id": to});
        desk.refused(&desk.ann, "transfer", Some(body), expected)
            .await;
    }
    let body = json!({"to_user_id": desk.bob.id, "reason": "French", "version": taken["version"]});
    let moved = desk.done(&desk.ann, "transfer", Some(body.clone())).await;
    assert_eq!(moved["assigned_to"]["user_name"], "Bob");
    // It is Bob's, and what Ann knew is old.
    desk.refused(&desk.ann, "transfer", Some(body), NOT_THERE)
        .await;
    let stale = json!({"version": taken["version"]});
    let changed = (StatusCode::CONFLICT, "CONVERSATION_CHANGED");
    let details = desk
        .refused(&desk.boss, "release", Some(stale), changed)
        .await;
    assert_eq!(details["assigned_to"]["user_name"], "Bob");
    assert_eq!(details["version"], moved["version"]);
    let request = world
        .http
        .post(format!(
            "{}/api/conversations/{}/release",
            world.api, desk.id
        ))
        .bearer_auth(&desk.boss.token);
    let tag = format!("\"{}\"", moved["version"]);
    let (status, free) = answer(request.header("If-Match", tag)).await;
    assert_eq!(
        (status, &free["assigned_to"]),
        (StatusCode::OK, &Value::Null)
    );
    // An agent gives away only what is the agent's.
    let body = json!({"to_user_id": desk.bob.id});
    let free = (StatusCode::CONFLICT, "NOT_ASSIGNED");
    desk.refused(&desk.ann, "transfer", Some(body.clone()), free)
        .await;
    desk.done(&desk.boss, "transfer", Some(body)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_conversation_is_opened_by_its_contact_and_all_of_it_is_told() {
    let world = World::start().await;
    let told = world.listen("conversation.#").await;
    let desk = Desk::open(&world).await;
    desk.done(&desk.ann, "assign", None).await;
    let body = json!({"to_user_id": desk.bob.id, "reason": "French"});
    desk.done(&desk.ann, "transfer", Some(body)).await;
    let read = desk.done(&desk.bob, "read", None).await;
    assert_eq!(read["unread_count"], 0);
    let closed = desk
        .done(&desk.bob, "close", Some(json!({"reason": "done"})))
        .await;
    assert_eq!(
        (&closed["status"], &closed["assigned_to"]),
        (&json!("closed"), &Value::Null)
    );
    let closed = (StatusCode::CONFLICT, "CONVERSATION_CLOSED");
    desk.refused(&desk.ann, "assign", None, closed).await;

    // The same event again changes nothing; another message opens it.
    world.publish_body("message.received", &desk.event).await;
    write(&world, CONTACT, "one more thing").await;
    let found = has_unread(&world, &desk.boss, CONTACT, 1).await;
    assert_eq!(
        (&found["status"], &found["last_message"]),
        (&json!("open"), &json!("one more thing"))
    );
    let page = |more: &str| format!("/{}/messages?limit=1{more}", desk.id);
    let (_, messages) = look(&world, &desk.boss, &page("")).await;
    assert_eq!(messages["messages"][0]["text"], "one more thing");
    let cursor = messages["next_cursor"].as_str().unwrap();
    let (_, messages) = look(&world, &desk.boss, &page(&format!("&cursor={cursor}"))).await;
    assert_eq!(messages["messages"][0]["text"], "hello");
    assert_eq!(messages["next_cursor"], Value::Null);

    for name in ["opened", "assigned", "transferred", "closed", "reopened"] {
        let event = told.next().await.envelope;
        assert_eq!(event["data"]["conversation_id"], desk.id);
        assert_eq!(
            event["type"],
            format!("com.agentportal.conversation.{name}.v1")
        );
    }
    let (_, history) = look(&world, &desk.boss, &format!("/{}/history", desk.id)).await;
    let rows = history["assignments"].as_array().unwrap().iter();
    let held: Vec<_> = rows
        .map(|row| {
            (
                row["user"]["user_name"].clone(),
                row["status"].clone(),
                row["reason"].clone(),
            )
        })
        .collect();
    assert_eq!(
        held,
        [
            (json!("Bob"), json!("closed"), json!("French")),
            (json!("Ann"), json!("transferred"), Value::Null)
        ]
    );
    let actions = history["actions"].as_array().unwrap().iter();
    let actions: Vec<_> = actions.map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["reopened", "closed", "opened"]);
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
