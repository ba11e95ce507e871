//! Files: what is kept, what is refused, and whose they are.

use base64::Engine as _;
use portal_test_harness::ServiceRole;
use reqwest::{
    StatusCode,
    multipart::{Form, Part},
};
use serde_json::Value;

use crate::world::World;

/// A PNG of the smallest kind, with `size` bytes in all.
pub(crate) fn png(size: usize) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0".to_vec();
    file.resize(size, 7);
    file
}

pub(crate) fn form(content: Vec<u8>) -> Form {
    Form::new().part("file", Part::bytes(content).file_name("a.bin"))
}

impl World {
    pub(crate) async fn upload(&self, token: &str, form: Form) -> (StatusCode, Value) {
        let answer = self
            .http
            .post(format!("{}/api/messages/upload", self.url))
            .bearer_auth(token)
            .multipart(form)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn media(&self, method: reqwest::Method, token: &str, id: &str) -> reqwest::Response {
        self.http
            .request(method, format!("{}/api/messages/media/{id}", self.url))
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }

    fn kept(&self) -> Vec<String> {
        self.db.query(
            "SELECT state || ' ' || count(c.*) FROM media m \
             LEFT JOIN media_chunks c USING (tenant_id, media_id) GROUP BY m.media_id, m.state",
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_kept_in_pieces_and_comes_back_whole() {
    let world = World::start().await;
    let acme = world.sisters.token("acme");
    let content = png(600_000);
    let part = Part::bytes(content.clone()).file_name("../Foto \u{202e}ü.png");
    let (status, kept) = world
        .upload(
            &acme,
            Form::new().part("file", part).text("type", "image/png"),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{kept}");
    assert_eq!(kept["mime_type"], "image/png");
    assert_eq!(kept["file_size"], 600_000);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
    assert_eq!(kept["sha256"], hex::encode(digest));
    assert_eq!(world.kept(), ["ready 3"], "pieces of 256 KiB");

    // The same bytes are the same file, also under another name; another tenant's are another.
    let (status, same) = world.upload(&acme, form(content.clone())).await;
    assert_eq!((status, &same), (StatusCode::CREATED, &kept));
    let globex = world.sisters.token("globex");
    let (_, other) = world.upload(&globex, form(content.clone())).await;
    assert_ne!(other["media_id"], kept["media_id"]);
    assert_eq!(world.kept(), ["ready 3", "ready 3"]);

    let id = kept["media_id"].as_str().unwrap();
    let answer = world.media(reqwest::Method::GET, &acme, id).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name: &str| {
        answer.headers()[name]
            .to_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("content-length"), "600000");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let disposition = String::from_utf8(answer.headers()["content-disposition"].as_bytes().into());
    assert_eq!(disposition.unwrap(), "attachment; filename=\"Foto ü.png\"");
    assert_eq!(answer.bytes().await.unwrap(), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_file_does_not_exist() {
    let world = World::start().await;
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    let (_, kept) = world.upload(&acme, form(png(100))).await;
    let id = kept["media_id"].as_str().unwrap();
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let foreign = world.media(method.clone(), &globex, id).await;
        assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
        let foreign: Value = foreign.json().await.unwrap();
        assert_eq!(foreign["error"]["code"], "MEDIA_NOT_FOUND");
        let unknown = uuid::Uuid::now_v7().to_string();
        let unknown: Value = world
            .media(method, &globex, &unknown)
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(unknown["error"], foreign["error"], "told alike");
    }
    for table in ["media", "media_chunks"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = |tenant| world.db.query_as(ServiceRole::Outbound, tenant, &sql);
        assert_eq!(count(Some("globex")).unwrap(), ["0"], "{table}");
        assert_eq!(count(Some("acme")).unwrap(), ["1"], "{table}");
    }
    let gone = world.media(reqwest::Method::DELETE, &acme, id).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(world.kept(), [""; 0]);
    let again = world.media(reqwest::Method::GET, &acme, id).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_whatsapp_does_not_take_is_refused_and_nothing_remains() {
    let world = World::start_with(&[("MEDIA__QUOTA_BYTES_PER_TENANT", "6000000")]).await;
    let acme = world.sisters.token("acme");
    let typed = |content: Vec<u8>, mime: &str| form(content).text("type", mime.to_owned());
    let sticker = b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\0\0\xff\0\0".to_vec();
    let cases = [
        (form(Vec::new()), 400, "VALIDATION_FAILED"),
        (
            Form::new().text("type", "image/png"),
            400,
            "VALIDATION_FAILED",
        ),
        (
            form(png(50)).text("colour", "red"),
            400,
            "VALIDATION_FAILED",
        ),
        (
            form(png(50)).part("file", Part::bytes(png(50))),
            400,
            "VALIDATION_FAILED",
        ),
        (
            form(b"GIF89a\x01\0\x01\0".to_vec()),
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        (typed(png(50), "image/jpeg"), 422, "MEDIA_TYPE_MISMATCH"),
        (
            Form::new()
                .text("type", "image/jpeg")
                .part("file", Part::bytes(png(50))),
            422,
            "MEDIA_TYPE_MISMATCH",
        ),
        (form(sticker), 422, "MEDIA_FORM_UNSUPPORTED"),
        (form(png(5 * 1024 * 1024 + 1)), 413, "MEDIA_TOO_LARGE"),
        (form(vec![b'a'; 6_000_001]), 409, "MEDIA_QUOTA_EXCEEDED"),
    ];
    for (form, status, code) in cases {
        let (answered, body) = world.upload(&acme, form).await;
        assert_eq!(
            (answered.as_u16(), &body["error"]["code"]),
            (status, &code.into()),
            "{body}"
        );
        assert_eq!(world.kept(), [""; 0], "{code}");
    }
    let (_, body) = world.upload(&acme, typed(png(50), "image/jpeg")).await;
    let details = serde_json::json!({"declared": "image/jpeg", "found": "image/png"});
    assert_eq!(body["error"]["details"], details);
    let (status, body) = world.upload(&acme, form(png(5 * 1024 * 1024))).await;
    assert_eq!(status, StatusCode::CREATED, "the largest image: {body}");
    let (status, _) = world.upload(&acme, form(png(4_000_000))).await;
    assert_eq!(
        status,
        StatusCode::CONFLICT,
        "the quota counts what is there"
    );
    let globex = world.sisters.token("globex");
    let (status, _) = world.upload(&globex, form(png(4_000_000))).await;
    assert_eq!(status, StatusCode::CREATED, "and only the tenant's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_file_is_none() {
    use tokio::io::AsyncWriteExt as _;
    let world = World::start().await;
    let acme = world.sisters.token("acme");
    let address = world.url.trim_start_matches("http://");
    let mut caller = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/messages/upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {acme}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 900000\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    caller.write_all(&png(600_000)).await.unwrap();
    portal_test_harness::eventually("two pieces to be stored", async || {
        (world.kept() == ["arriving 2"]).then_some(())
    })
    .await;
    // Not to be had, whatever is known of it.
    let id = world.db.query("SELECT media_id FROM media").remove(0);
    let early = world.media(reqwest::Method::GET, &acme, &id).await;
    assert_eq!(early.status(), StatusCode::NOT_FOUND);
    drop(caller);
    portal_test_harness::eventually("the rest to be forgotten", async || {
        world.kept().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_used_for_long_is_forgotten() {
    let mut world = World::start().await;
    let acme = world.sisters.token("acme");
    for size in [100, 200] {
        world.upload(&acme, form(png(size))).await;
    }
    world.db.execute(
        "UPDATE media SET last_used_at = now() - interval '31 days' WHERE size_bytes = 100",
    );
    // As a process leaves it that dies between two pieces.
    world.db.execute(
        "INSERT INTO media (tenant_id, media_id, size_bytes, created_at) \
         VALUES ('acme', gen_random_uuid(), 5, now() - interval '1 hour'), \
                ('acme', gen_random_uuid(), 6, now())",
    );
    world.stop_service();
    world.run_service().await;
    portal_test_harness::eventually("old files to be gone", async || {
        let sizes = world.db.query("SELECT size_bytes FROM media ORDER BY 1");
        (sizes == ["6", "200"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_came_in_is_the_tenants_alone() {
    let world = World::start().await;
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    let content = png(300_000);
    let photo = portal_sandbox::InboundMedia {
        mime_type: "image/png".to_owned(),
        body_base64: Some(base64::engine::general_purpose::STANDARD.encode(&content)),
        size: 0,
    };
    let photo = portal_sandbox::Inbound {
        kind: "image".to_owned(),
        media: Some(photo),
        ..portal_sandbox::Inbound::default()
    };
    let id = world.sandbox.receive(photo).unwrap().media_id.unwrap();
    portal_test_harness::eventually("the message to be here", async || {
        let sql = "SELECT media_id FROM inbound_messages";
        (world.db.query(sql) == [id.as_str()]).then_some(())
    })
    .await;

    let answer = world.media(reqwest::Method::GET, &acme, &id).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "image/png");
    let disposition = &answer.headers()["content-disposition"];
    assert_eq!(disposition, "attachment; filename=\"file\"");
    assert_eq!(answer.bytes().await.unwrap(), content);
    let foreign = world.media(reqwest::Method::GET, &globex, &id).await;
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);

    // Meta keeps it for a week; and what it forgot earlier is gone, too.
    came_in(&world, "4711", "now()");
    came_in(&world, "4712", "now() - interval '8 days'");
    for id in ["4711", "4712"] {
        let gone = world.media(reqwest::Method::GET, &acme, id).await;
        assert_eq!(gone.status(), StatusCode::GONE, "{id}");
    }
    // Of an id that no message brought nothing is asked.
    let wild = world.media(reqwest::Method::GET, &acme, "..%2Fme").await;
    assert_eq!(wild.status(), StatusCode::NOT_FOUND);
}

fn came_in(world: &World, id: &str, sent_at: &str) {
    let number = portal_sandbox::seed::ACME_PHONE_NUMBER_ID;
    world.db.execute(&format!(
        "INSERT INTO inbound_messages (inbound_id, tenant_id, phone_number_id, wamid, \
             conversation_id, contact, type, payload, media_id, sent_at, received_at) \
         VALUES (gen_random_uuid(), 'acme', '{number}', 'wamid.{id}', gen_random_uuid(), \
             '+1234567890', 'image', '{{}}', '{id}', {sent_at}, now())"
    ));
}
