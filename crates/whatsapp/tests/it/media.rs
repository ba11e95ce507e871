//! Files: one request each, streamed, and no token to a stranger.

use std::time::Duration;

use portal_service_kit::http_client::{ClientOptions, build};
use portal_whatsapp::media::{MediaInfo, MediaUpload, is_gone, read_sha256};
use portal_whatsapp::{DEFAULT_VERSION, ErrorClass, GraphClient, Outcome};
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use crate::fake::{Fake, Reply};

const TIMEOUT: Duration = Duration::from_secs(5);

fn client(base_url: &Url) -> GraphClient {
    let http = build(&ClientOptions::default()).unwrap();
    GraphClient::new(http, base_url.clone(), DEFAULT_VERSION.to_owned()).unwrap()
}

fn token() -> SecretString {
    SecretString::from("token-of-acme")
}

fn file() -> MediaUpload {
    let pieces = ["Hello ", "world"].map(Ok::<_, std::io::Error>);
    MediaUpload {
        mime_type: "text/plain".to_owned(),
        file_name: "a.txt".to_owned(),
        size: 11,
        content: reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)),
    }
}

fn info(url: &str) -> MediaInfo {
    MediaInfo {
        url: url.parse().unwrap(),
        mime_type: None,
        sha256: None,
        file_size: None,
    }
}

#[tokio::test]
async fn a_file_is_uploaded_with_one_request_as_meta_wants_it() {
    let meta = Fake::start(vec![Reply::json(200, &json!({"id": "4242"}))]).await;
    let id = client(&meta.url)
        .upload_media(&token(), "106540352242922", file(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(id, "4242");
    let request = meta.only_request();
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/v25.0/106540352242922/media");
    assert_eq!(request.header("authorization"), "Bearer token-of-acme");
    let length: usize = request.header("content-length").parse().unwrap();
    assert_eq!(request.body.len(), length);
    for part in [
        "name=\"messaging_product\"\r\n\r\nwhatsapp\r\n",
        "name=\"type\"\r\n\r\ntext/plain\r\n",
        "name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nHello world\r\n",
    ] {
        assert!(request.body.contains(part), "{}", request.body);
    }
}

#[tokio::test]
async fn a_failed_upload_is_told_and_not_repeated() {
    let refusal = json!({"error": {"message": "(#131053) Media upload error", "code": 131_053}});
    let meta = Fake::start(vec![Reply::json(400, &refusal), Reply::Close]).await;
    let client = client(&meta.url);
    let error = client
        .upload_media(&token(), "1", file(), TIMEOUT)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, error.code),
        (ErrorClass::Permanent, Some(131_053))
    );
    let error = client
        .upload_media(&token(), "1", file(), TIMEOUT)
        .await
        .unwrap_err();
    assert_eq!(error.outcome, Outcome::Unknown);
    assert_eq!(meta.requests().len(), 2);
}

#[tokio::test]
async fn what_meta_tells_of_a_file_is_read_in_both_writings() {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let replies = [json!("303833"), json!(303_833)].map(|size| {
        Reply::json(
            200,
            &json!({"url": "https://lookaside.fbsbx.com/x?y", "file_size": size,
            "mime_type": "image/jpeg", "sha256": digest, "id": "42"}),
        )
    });
    let gone = json!({"error": {"message": "Unsupported get request. Object with ID '42' does not \
        exist", "code": 100, "error_subcode": 33}});
    let meta = Fake::start([replies.to_vec(), vec![Reply::json(400, &gone)]].concat()).await;
    let client = client(&meta.url);
    for _ in 0..2 {
        let info = client.media_info(&token(), "1065", "42").await.unwrap();
        assert_eq!(info.url.host_str(), Some("lookaside.fbsbx.com"));
        assert_eq!(info.file_size, Some(303_833));
        assert_eq!(info.sha256, read_sha256(digest));
    }
    let base64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    assert_eq!(read_sha256(base64), read_sha256(digest));
    assert_eq!(read_sha256("abc"), None);
    let error = client
        .media_info(&token(), "1065", "42")
        .await
        .err()
        .unwrap();
    assert!(is_gone(&error));
    let request = meta.requests().remove(0);
    assert_eq!(
        request.target, "/v25.0/42?phone_number_id=1065",
        "the number is always named"
    );
}

#[tokio::test]
async fn a_token_goes_to_listed_hosts_only_and_follows_no_redirect() {
    let stranger = Fake::start(vec![Reply::json(200, "{}")]).await;
    let away = Reply::json(302, "").with("location", stranger.url.as_str());
    let meta = Fake::start(vec![away]).await;
    let client = client(&meta.url);
    let hosts = ["lookaside.fbsbx.com".to_owned()];
    for url in [
        stranger.url.as_str(),
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com:8443/x",
        "https://lookaside.fbsbx.com.example.com/x",
        "https://user@lookaside.fbsbx.com/x",
    ] {
        let refused = client
            .media_content(&token(), &info(url), &hosts, TIMEOUT)
            .await;
        assert_eq!(refused.err().unwrap().class, ErrorClass::NotSent, "{url}");
    }
    let here = meta.url.join("/content").unwrap();
    let answer = client
        .media_content(&token(), &info(here.as_str()), &hosts, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(
        meta.only_request().header("authorization"),
        "Bearer token-of-acme"
    );
    assert!(stranger.requests().is_empty());
}
