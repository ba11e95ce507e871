//! Messages with files: brought to Meta once for each number, whether uploaded or behind a link.

use base64::Engine as _;
use portal_sandbox::{Kind, Outage, seed};
use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    media::{form, png},
    world::World,
};

const LOCAL_LINKS: [(&str, &str); 2] = [
    ("MEDIA__FETCH_LINKS", "true"),
    ("MEDIA__FETCH_FROM_NETWORKS", "127.0.0.0/8"),
];

impl World {
    async fn send_content(&self, token: &str, to: &str, content: Value) -> (StatusCode, Value) {
        let mut body = content;
        body["to"] = to.into();
        self.post_to("/api/messages", token, &body).await
    }

    async fn accepted(&self, token: &str, to: &str, content: Value) -> String {
        let (status, body) = self.send_content(token, to, content).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["message_id"].as_str().unwrap().to_owned()
    }

    async fn refused_field(&self, token: &str, content: Value) -> String {
        let (status, body) = self.send_content(token, "+1234567890", content).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        body["error"]["details"][0]["field"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn uploaded(&self, token: &str, content: Vec<u8>) -> String {
        let (status, kept) = self.upload(token, form(content)).await;
        assert_eq!(status, StatusCode::CREATED, "{kept}");
        kept["media_id"].as_str().unwrap().to_owned()
    }

    /// How often files were uploaded to Meta.
    fn uploads(&self) -> usize {
        let calls = self.sandbox.journal().of_kind(Kind::Graph);
        let is_upload = |path: &str| path.ends_with("/media");
        calls.iter().filter(|call| is_upload(&call.path)).count()
    }

    /// A public file at the sandbox; its address.
    async fn link(&self, link: Value) -> String {
        let url = format!("{}/control/links", self.sandbox.base_url());
        let answer = self.http.post(url).json(&link).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["url"].as_str().unwrap().to_owned()
    }

    async fn fetched(&self) -> u64 {
        let url = format!("{}/control/links", self.sandbox.base_url());
        let body: Value = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let links = body["links"].as_array().unwrap();
        links.iter().filter_map(|link| link["hits"].as_u64()).sum()
    }
}

fn encoded(content: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_brought_to_meta_once_and_used_by_all_messages() {
    let world = World::start().await;
    let acme = world.sisters.token("acme");
    let id = world.uploaded(&acme, png(300_000)).await;
    let mut sent = Vec::new();
    for to in ["+1234567890", "+1234567891", "+1234567892"] {
        let content = json!({"type": "image", "image": {"id": id, "caption": "Ours"}});
        sent.push(world.accepted(&acme, to, content).await);
    }
    for message in &sent {
        world.reaches(&acme, message, "read").await;
    }
    assert_eq!(world.uploads(), 1);
    let known = world.db.query("SELECT meta_media_id FROM media_uploads");
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(calls.len(), 3);
    for call in calls {
        assert_eq!(call.body["image"]["id"], known[0].as_str());
        assert_eq!(call.body["image"]["caption"], "Ours");
    }
    // Meta's ids end; then the file is brought there again.
    world
        .db
        .execute("UPDATE media_uploads SET expires_at = now()");
    let content = json!({"type": "document", "document": {"id": id}});
    let later = world.accepted(&acme, "+1234567890", content).await;
    world.reaches(&acme, &later, "read").await;
    assert_eq!(world.uploads(), 2);
    let call = world.sandbox.journal().graph_messages().pop().unwrap();
    assert_eq!(call.body["document"]["filename"], "a.bin");
}

/// Meta's ids as if they were given an hour ago.
fn age(world: &World) {
    world
        .db
        .execute("UPDATE media_uploads SET expires_at = expires_at - interval '1 hour'");
}

async fn delete_at_meta(world: &World) {
    let id = world.db.query("SELECT meta_media_id FROM media_uploads");
    let url = format!("{}/v25.0/{}", world.sandbox.base_url(), id[0]);
    let deleted = world.http.delete(url).bearer_auth(seed::ACME_TOKEN);
    assert_eq!(deleted.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_meta_does_not_know_any_more_is_brought_there_again() {
    let world = World::start_with(&LOCAL_LINKS).await;
    let acme = world.sisters.token("acme");
    let own = world.uploaded(&acme, png(100)).await;
    let own = json!({"type": "image", "image": {"id": own}});
    let first = world.accepted(&acme, "+1234567890", own.clone()).await;
    world.reaches(&acme, &first, "read").await;
    age(&world);
    delete_at_meta(&world).await;
    let again = world.accepted(&acme, "+1234567890", own.clone()).await;
    let message = world.reaches(&acme, &again, "read").await;
    let attempts = message["attempts"].as_array().unwrap();
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[1]["outcome"]),
        (&json!("not_accepted"), &json!("accepted")),
        "{message}"
    );
    assert_eq!((attempts.len(), world.uploads()), (2, 2));
    let id = world.db.query("SELECT meta_media_id FROM media_uploads");
    let last = world.sandbox.journal().graph_messages().pop().unwrap();
    assert_eq!(last.body["image"]["id"], id[0].as_str());

    // What is refused with an id that Meta gave just now is refused for something else.
    delete_at_meta(&world).await;
    let refused = world.accepted(&acme, "+1234567890", own).await;
    let message = world.reaches(&acme, &refused, "failed").await;
    assert_eq!(message["error"]["code"], 100, "{message}");
    assert_eq!(message["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(world.uploads(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_brought_there_again_once_and_then_meta_has_its_way() {
    let world = World::start_with(&LOCAL_LINKS).await;
    let acme = world.sisters.token("acme");
    let link = world
        .link(json!({"name": "a.png", "content_type": "image/png", "body_base64": encoded(&png(100))}))
        .await;
    let content = json!({"type": "image", "image": {"link": link}});
    let first = world.accepted(&acme, "+1234567890", content.clone()).await;
    world.reaches(&acme, &first, "read").await;
    age(&world);
    let url = format!("{}/control/faults", world.sandbox.base_url());
    let fault = json!({"next_error": {"code": 131_053, "times": 9, "edge": "messages"}});
    let answer = world.http.put(url).json(&fault).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let refused = world.accepted(&acme, "+1234567890", content).await;
    let message = world.reaches(&acme, &refused, "failed").await;
    assert_eq!(message["error"]["code"], 131_053, "{message}");
    assert_eq!(message["attempts"].as_array().unwrap().len(), 2);
    assert_eq!((world.fetched().await, world.uploads()), (1, 2));
    // Where no file is of ours, nothing is tried again.
    let theirs = json!({"type": "image", "image": {"id": "123456"}});
    let refused = world.accepted(&acme, "+1234567890", theirs).await;
    let message = world.reaches(&acme, &refused, "failed").await;
    assert_eq!(message["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_files_own_tenant_can_send_it_and_only_as_what_it_is() {
    let world = World::start().await;
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    let id = world.uploaded(&acme, png(100)).await;
    let image = json!({"type": "image", "image": {"id": id}});
    assert_eq!(
        world.refused_field(&globex, image.clone()).await,
        "image.id"
    );
    let unknown = json!({"type": "image", "image": {"id": uuid::Uuid::now_v7()}});
    assert_eq!(world.refused_field(&acme, unknown).await, "image.id");
    let video = json!({"type": "video", "video": {"id": id}});
    assert_eq!(world.refused_field(&acme, video).await, "video.id");

    // Deleted after the message was accepted: the message fails and says why.
    world.sandbox.set_graph_outage(Outage::Unavailable);
    let message = world.accepted(&acme, "+1234567890", image).await;
    // The first try is over before the file goes; the next one is seconds away.
    eventually("the upload to be tried", async || {
        (world.uploads() > 0).then_some(())
    })
    .await;
    let free = "SELECT count(*) FROM media_uploads WHERE lease_until IS NULL";
    eventually("the try to end", async || {
        (world.db.query(free) == ["1"]).then_some(())
    })
    .await;
    world.db.execute("DELETE FROM media");
    world.sandbox.set_graph_outage(Outage::None);
    let failed = world.reaches(&acme, &message, "failed").await;
    assert_eq!(
        failed["error"]["title"],
        "A file of the message is not kept any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_fetched_once_and_sent_as_a_file() {
    let world = World::start_with(&LOCAL_LINKS).await;
    let acme = world.sisters.token("acme");
    let link = world
        .link(json!({"name": "photo.png", "content_type": "image/png", "body_base64": encoded(&png(70_000))}))
        .await;
    for to in ["+1234567890", "+1234567891"] {
        let content = json!({"type": "image", "image": {"link": link}});
        let message = world.accepted(&acme, to, content).await;
        world.reaches(&acme, &message, "read").await;
    }
    assert_eq!((world.fetched().await, world.uploads()), (1, 1));
    for call in world.sandbox.journal().graph_messages() {
        assert!(call.body["image"]["id"].is_string());
        assert!(call.body["image"]["link"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_fails_the_message_with_a_reason() {
    let world = World::start_with(&LOCAL_LINKS).await;
    let acme = world.sisters.token("acme");
    let good = encoded(&png(100));
    let aim = world
        .link(json!({"content_type": "image/png", "body_base64": good}))
        .await;
    let cases = [
        (json!({"status": 302, "redirect_to": aim}), "answers 302"),
        (json!({"status": 404}), "answers 404"),
        (
            json!({"content_type": "image/png", "text": "GIF89a\u{1}\u{0}"}),
            "image/gif",
        ),
        (json!({"content_type": "image/png"}), "empty"),
        (
            json!({"content_type": "image/png", "body_base64": good, "size": 6_000_000}),
            "larger",
        ),
        (
            json!({"body_base64": good, "size": 6_000_000, "chunked": true}),
            "larger",
        ),
    ];
    for (index, (link, reason)) in cases.into_iter().enumerate() {
        let link = world.link(link).await;
        let content = json!({"type": "image", "image": {"link": link}});
        let message = world
            .accepted(&acme, &format!("+123456789{index}"), content)
            .await;
        let failed = world.reaches(&acme, &message, "failed").await;
        assert_eq!(
            failed["error"]["title"],
            "The file could not be fetched from its link"
        );
        let details = failed["error"]["details"].as_str().unwrap();
        assert!(details.contains(reason), "{details}");
    }
    assert_eq!(world.uploads(), 0);
    assert_eq!(world.db.query("SELECT count(*) FROM media"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_into_our_own_network_are_refused() {
    let world = World::start_with(&[("MEDIA__FETCH_LINKS", "true")]).await;
    let acme = world.sisters.token("acme");
    for link in [
        "https://127.0.0.1/a.png",
        "https://0x7f000001/a.png",
        "https://[::ffff:169.254.169.254]/latest/meta-data",
        "https://user@example.com/a.png",
        "https://example.com:8443/a.png",
    ] {
        let content = json!({"type": "image", "image": {"link": link}});
        assert_eq!(
            world.refused_field(&acme, content).await,
            "image.link",
            "{link}"
        );
    }
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);
}
