//! Conversations beside Genesys: its ids, and its routing as the master.

use chrono::{DateTime, Duration, Utc};
use portal_test_harness::{EventListener, eventually};
use portal_types::{ConversationId, Role, TenantId};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    conversations::{
        Colleague, NUMBER, Team, conversation, do_with, has_unread, look, tell, write,
    },
    world::{World, answer},
};

const CONTACT: &str = "+14155550001";
const GENESYS: &str = "7b1c5d0e-0000-4000-8000-000000000001";

struct Site<'a> {
    world: &'a World,
    chief: Colleague,
    ann: Colleague,
    bob: Colleague,
    id: String,
    start: DateTime<Utc>,
}

impl<'a> Site<'a> {
    async fn open(world: &'a World) -> Self {
        world.consumers_are_up().await;
        let team = Team::of(world);
        let site = Self {
            world,
            chief: team.join("Chief", Role::Admin),
            ann: team.join("Ann", Role::Agent),
            bob: team.join("Bob", Role::Agent),
            id: conversation(CONTACT),
            start: Utc::now(),
        };
        write(world, CONTACT, "hello").await;
        has_unread(world, &site.chief, CONTACT, 1).await;
        site
    }

    async fn rules(&self, rules: Value) {
        let url = format!("{}/api/organization/conversation-rules", self.world.api);
        let request = self.world.http.patch(url).bearer_auth(&self.chief.token);
        let (status, body) = answer(request.json(&rules)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// What Genesys says of its conversation so many seconds after the start.
    async fn says(&self, seconds: i64, more: Value) -> Value {
        let mut data = json!({
            "tenant_id": "acme_corp", "genesys_conversation_id": GENESYS, "genesys_user_id": null,
            "at": self.start + Duration::seconds(seconds),
        });
        let known = data.as_object_mut().unwrap();
        known.extend(more.as_object().unwrap().clone());
        tell(self.world, "genesys.conversation.routed", data).await
    }

    async fn now(&self) -> Value {
        look(self.world, &self.chief, &format!("/{}", self.id))
            .await
            .1
    }

    async fn holder_is(&self, who: Option<&Colleague>) -> Value {
        let expected = who.map_or(Value::Null, |who| json!(who.id));
        eventually("Genesys' routing to be followed", async || {
            let found = self.now().await;
            let holder = found["assigned_to"]["user_id"].clone();
            (holder == expected && found["genesys_conversation_id"] == GENESYS).then_some(found)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_names_the_genesys_conversation_and_events_and_lists_carry_it() {
    let world = World::start().await;
    let site = Site::open(&world).await;
    let assigned = world.listen("conversation.assigned").await;
    let accepted = json!({
        "message_id": Uuid::now_v7(), "tenant_id": "acme_corp", "conversation_id": site.id,
        "to": CONTACT, "type": "text", "sent_by": {"kind": "api_key", "id": "k"},
        "phone_number_id": NUMBER, "content": {"text": {"body": "hi"}},
        "genesys_conversation_id": GENESYS,
    });
    tell(&world, "message.accepted", accepted).await;
    site.holder_is(None).await;
    do_with(&world, &site.ann, &site.id, "assign", None).await;
    let event = assigned.next().await;
    assert_eq!(event.envelope["data"]["genesys_conversation_id"], GENESYS);
    let (_, found) = look(
        &world,
        &site.chief,
        &format!("?genesys_conversation_id={GENESYS}"),
    )
    .await;
    assert_eq!(found["conversations"][0]["conversation_id"], site.id);
    let (_, found) = look(&world, &site.chief, "?genesys_conversation_id=other").await;
    assert_eq!(found["conversations"], json!([]));
    // An agent finds no more by it than without.
    let (_, found) = look(
        &world,
        &site.bob,
        &format!("?genesys_conversation_id={GENESYS}"),
    )
    .await;
    assert_eq!(found["conversations"], json!([]));
    // Where the portal is the master, Genesys names and moves nothing.
    site.says(
        10,
        json!({"genesys_user_id": site.bob.id, "conversation_id": site.id}),
    )
    .await;
    site.says(11, json!({"genesys_user_id": null, "genesys_conversation_id": "next", "conversation_id": site.id}))
        .await;
    eventually("the next one to be named", async || {
        (site.now().await["genesys_conversation_id"] == "next").then_some(())
    })
    .await;
    assert_eq!(
        site.now().await["assigned_to"]["user_id"],
        json!(site.ann.id)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_genesys_is_the_master_assignments_change_by_its_routing_alone() {
    let world = World::start().await;
    let site = Site::open(&world).await;
    site.rules(json!({"routing": "genesys", "assignment": "automatic"}))
        .await;
    let by_genesys = (StatusCode::CONFLICT, json!("ROUTED_BY_GENESYS"));
    let refused = async |who: &Colleague, what: &str, body: Option<Value>| {
        let (status, body) = do_with(&world, who, &site.id, what, body).await;
        assert_eq!(
            (status, body["error"]["code"].clone()),
            by_genesys,
            "{what}"
        );
    };
    refused(&site.ann, "assign", None).await;
    refused(
        &site.chief,
        "transfer",
        Some(json!({"to_user_id": site.ann.id})),
    )
    .await;

    site.says(
        10,
        json!({"conversation_id": site.id, "genesys_user_id": site.ann.id}),
    )
    .await;
    let given = site.holder_is(Some(&site.ann)).await;
    refused(&site.ann, "release", None).await;
    refused(&site.ann, "close", None).await;
    refused(
        &site.ann,
        "transfer",
        Some(json!({"to_user_id": site.bob.id})),
    )
    .await;

    // Late ones, the same again, and by the Genesys id alone.
    let event = site
        .says(
            20,
            json!({"genesys_user_id": site.bob.id, "reason": "skill"}),
        )
        .await;
    site.holder_is(Some(&site.bob)).await;
    world
        .publish_body("genesys.conversation.routed", &event)
        .await;
    site.says(15, json!({"genesys_user_id": site.ann.id})).await;
    site.says(5, json!({"ended": true})).await;
    site.says(30, json!({})).await;
    let released = site.holder_is(None).await;
    assert_eq!(released["status"], "open");
    assert_eq!(
        released["version"],
        json!(given["version"].as_i64().unwrap() + 2)
    );
    site.says(40, json!({"ended": true})).await;
    eventually("it to be closed", async || {
        (site.now().await["status"] == "closed").then_some(())
    })
    .await;
    site.says(50, json!({"genesys_user_id": site.ann.id})).await;
    assert_eq!(site.holder_is(Some(&site.ann)).await["status"], "open");
    let (_, history) = look(&world, &site.chief, &format!("/{}/history", site.id)).await;
    let causes: Vec<_> = history["assignments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["cause"].as_str().unwrap())
        .collect();
    assert_eq!(causes, ["genesys"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_genesys_says_of_unknown_people_and_of_other_tenants_is_a_dead_letter() {
    let world = World::start().await;
    let site = Site::open(&world).await;
    site.rules(json!({"routing": "genesys"})).await;
    let queue = "agent-portal-service.genesys";
    let dead = EventListener::of_dead_letters(&world.isolation, queue).await;
    let stranger = Team::of(&world).join_of("globex_inc", "Eve", Role::Agent);
    let globex = TenantId::parse("globex_inc").unwrap();
    let foreign = ConversationId::of(&globex, NUMBER, CONTACT);
    world.db.execute(&format!(
        "INSERT INTO conversations (conversation_id, tenant_id, phone_number_id, wa_id, contact) \
         VALUES ('{foreign}', 'globex_inc', '{NUMBER}', '14155550001', '{CONTACT}')"
    ));
    let before = world
        .value("SELECT md5(string_agg(c::text, '' ORDER BY conversation_id)) FROM conversations c");
    for more in [
        json!({"conversation_id": site.id, "genesys_user_id": "nobody"}),
        json!({"conversation_id": site.id, "genesys_user_id": stranger.id}),
        json!({"conversation_id": site.id, "tenant_id": "globex_inc"}),
    ] {
        let event = site.says(10, more).await;
        assert_eq!(dead.next().await.envelope["id"], event["id"]);
    }
    // Of another tenant's conversation, and of an unknown one, long enough ago that it does not come.
    for id in [foreign, ConversationId::generate()] {
        let mut event = json!({
            "specversion": "1.0", "id": Uuid::now_v7(), "source": "/services/genesys-link",
            "type": "com.agentportal.genesys.conversation.routed.v1", "subject": GENESYS,
            "time": Utc::now() - Duration::minutes(5), "tenantid": "acme_corp",
        });
        event["data"] = json!({
            "tenant_id": "acme_corp", "genesys_conversation_id": GENESYS, "conversation_id": id,
            "genesys_user_id": site.ann.id, "at": Utc::now(),
        });
        world
            .publish_body("genesys.conversation.routed", &event)
            .await;
        assert_eq!(dead.next().await.envelope["id"], event["id"]);
    }
    let after = world
        .value("SELECT md5(string_agg(c::text, '' ORDER BY conversation_id)) FROM conversations c");
    assert_eq!(after, before);
    // The same conversation is followed once the person is known.
    site.says(
        20,
        json!({"conversation_id": site.id, "genesys_user_id": site.bob.id}),
    )
    .await;
    site.holder_is(Some(&site.bob)).await;
}
