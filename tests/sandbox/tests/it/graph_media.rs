//! Media: upload, read, download, use; and links that misbehave.

use portal_sandbox::{Sandbox, seed};
use serde_json::{Value, json};

use crate::support::{Receiver, client, expect_json, post_message, start};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and what follows";

async fn upload(sandbox: &Sandbox, mime: &str, bytes: &[u8]) -> reqwest::Response {
    let mut body = Vec::new();
    for (name, value) in [("messaging_product", "whatsapp"), ("type", mime)] {
        body.extend(
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .bytes(),
        );
    }
    body.extend(
        format!(
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\
                 content-type: {mime}\r\n\r\n"
        )
        .bytes(),
    );
    body.extend(bytes);
    body.extend(b"\r\n--b--\r\n");
    let url = format!(
        "{}/v25.0/{}/media",
        sandbox.base_url(),
        seed::ACME_PHONE_NUMBER_ID
    );
    client()
        .post(url)
        .bearer_auth(seed::ACME_TOKEN)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body)
        .send()
        .await
        .unwrap()
}

async fn uploaded(sandbox: &Sandbox, mime: &str, bytes: &[u8]) -> String {
    let body = expect_json(upload(sandbox, mime, bytes).await, 200).await;
    body["id"].as_str().unwrap().to_owned()
}

async fn get(sandbox: &Sandbox, token: &str, path: &str) -> reqwest::Response {
    let url = format!("{}/v25.0/{path}", sandbox.base_url());
    client().get(url).bearer_auth(token).send().await.unwrap()
}

#[tokio::test]
async fn a_file_is_uploaded_read_downloaded_and_deleted() {
    let sandbox = start();
    let id = uploaded(&sandbox, "image/png", PNG).await;
    let journal = sandbox.journal().of_kind(portal_sandbox::Kind::Graph);
    let shown = journal[0].request.json();
    assert_eq!(shown["file"]["size"], PNG.len());
    let sha256 = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, PNG));
    assert_eq!(shown["file"]["sha256"], sha256.as_str());

    let number = format!("{id}?phone_number_id={}", seed::ACME_PHONE_NUMBER_ID);
    let node = expect_json(get(&sandbox, seed::ACME_TOKEN, &number).await, 200).await;
    assert_eq!(
        (&node["mime_type"], &node["sha256"], &node["file_size"]),
        (
            &json!("image/png"),
            &json!(sha256),
            &json!(PNG.len().to_string())
        )
    );
    let url = node["url"].as_str().unwrap();
    assert_eq!(client().get(url).send().await.unwrap().status(), 400);
    let file = client()
        .get(url)
        .bearer_auth(seed::ACME_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(file.headers()["content-type"], "image/png");
    assert_eq!(file.bytes().await.unwrap(), PNG);
    let foreign = client()
        .get(url)
        .bearer_auth(seed::GLOBEX_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 404);

    let other = format!("{id}?phone_number_id={}", seed::GLOBEX_PHONE_NUMBER_ID);
    for (token, path) in [(seed::ACME_TOKEN, &other), (seed::GLOBEX_TOKEN, &id)] {
        let refused = expect_json(get(&sandbox, token, path).await, 400).await;
        assert_eq!(refused["error"]["error_subcode"], 33);
    }
    let delete = client().delete(format!("{}/v25.0/{id}", sandbox.base_url()));
    expect_json(
        delete.bearer_auth(seed::ACME_TOKEN).send().await.unwrap(),
        200,
    )
    .await;
    assert_eq!(get(&sandbox, seed::ACME_TOKEN, &id).await.status(), 400);
    sandbox.stop().await;
}

#[tokio::test]
async fn uploads_are_checked() {
    let sandbox = start();
    let large = vec![0; 5 * 1024 * 1024 + 1];
    for (mime, bytes, code) in [
        ("image/gif", b"GIF89a".as_slice(), 100),
        ("image/png", large.as_slice(), 131_053),
        ("image/png", b"", 100),
    ] {
        let refused = expect_json(upload(&sandbox, mime, bytes).await, 400).await;
        assert_eq!(refused["error"]["code"], code, "{mime}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn urls_and_files_run_out() {
    let sandbox = start();
    sandbox.change_graph(|graph| graph.media_url_lifetime = std::time::Duration::ZERO);
    let id = uploaded(&sandbox, "image/png", PNG).await;
    let node = expect_json(get(&sandbox, seed::ACME_TOKEN, &id).await, 200).await;
    let url = node["url"].as_str().unwrap();
    let late = client()
        .get(url)
        .bearer_auth(seed::ACME_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(late.status(), 404);
    sandbox.change_graph(|graph| graph.media_lifetime = std::time::Duration::ZERO);
    let id = uploaded(&sandbox, "image/png", PNG).await;
    assert_eq!(get(&sandbox, seed::ACME_TOKEN, &id).await.status(), 400);
    sandbox.stop().await;
}

fn message(kind: &str, id: &str) -> Value {
    let mut body = json!({"messaging_product": "whatsapp", "to": "+1234567890", "type": kind});
    body[kind] = json!({"id": id});
    body
}

#[tokio::test]
async fn a_media_id_is_used_by_its_own_number_only() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let refused = post_message(&sandbox, &message("image", "123"))
        .await
        .unwrap();
    assert_eq!(expect_json(refused, 400).await["error"]["code"], 100);

    let id = uploaded(&sandbox, "image/png", PNG).await;
    let taken = post_message(&sandbox, &message("image", &id))
        .await
        .unwrap();
    expect_json(taken, 200).await;
    receiver.wait_for(3).await;
    // Wrong bytes, and a wrong kind, are found later.
    let lies = uploaded(&sandbox, "image/png", b"this is no image").await;
    for (count, body) in [(4, message("image", &lies)), (5, message("video", &id))] {
        expect_json(post_message(&sandbox, &body).await.unwrap(), 200).await;
        let hooks = receiver.wait_for(count).await;
        let status = &hooks[count - 1].value()["statuses"][0];
        assert_eq!(status["errors"][0]["code"], 131_053);
    }
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn links_answer_as_they_are_told() {
    let sandbox = start();
    let make = |link: Value| {
        let call = client()
            .post(format!("{}/control/links", sandbox.base_url()))
            .json(&link);
        async move {
            let body = expect_json(call.send().await.unwrap(), 200).await;
            body["url"].as_str().unwrap().to_owned()
        }
    };
    let plain = make(json!({"name": "a.png", "content_type": "image/png", "text": "abc"})).await;
    let large = make(json!({"content_type": "image/png", "size": 300_000})).await;
    let open = make(json!({"size": 10, "chunked": true, "piece_delay_ms": 1})).await;
    let moved = make(json!({"status": 302, "redirect_to": plain})).await;
    let get = |url: String| async move { client().get(url).send().await.unwrap() };

    let answer = get(plain.clone()).await;
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.text().await.unwrap(), "abc");
    let answer = get(large).await;
    assert_eq!(answer.content_length(), Some(300_000));
    assert_eq!(answer.bytes().await.unwrap().len(), 300_000);
    let answer = get(open).await;
    assert_eq!(
        (
            answer.content_length(),
            answer.headers().get("content-type")
        ),
        (None, None)
    );
    assert_eq!(answer.bytes().await.unwrap().len(), 10);
    let answer = get(moved).await;
    assert_eq!(answer.headers()["location"], plain.as_str());
    assert_eq!(
        get(format!("{}/links/99/x", sandbox.base_url()))
            .await
            .status(),
        404
    );
    let list = get(format!("{}/control/links", sandbox.base_url())).await;
    let list = expect_json(list, 200).await;
    assert_eq!(list["links"].as_array().unwrap().len(), 4);
    sandbox.stop().await;
}
