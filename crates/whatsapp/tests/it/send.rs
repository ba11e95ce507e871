//! One call, one request, and the right reading of whatever comes back.

use std::time::Duration;

use portal_service_kit::http_client::{ClientOptions, build};
use portal_whatsapp::{
    Accepted, Content, DEFAULT_VERSION, ErrorClass, GraphClient, OutboundMessage, Outcome,
    Recipient, RecipientType, SendError, Text,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use url::Url;

use crate::fake::{Fake, Reply};

const TOKEN: &str = "EAAG-secret-token";

/// A client that gives a connection half of the time.
fn client(base_url: &Url, timeout: Duration) -> GraphClient {
    let options = ClientOptions {
        connect_timeout: timeout / 2,
        timeout,
        user_agent: "agent-portal".to_owned(),
    };
    GraphClient::new(
        build(&options).unwrap(),
        base_url.clone(),
        DEFAULT_VERSION.to_owned(),
    )
    .unwrap()
}

fn patient(base_url: &Url) -> GraphClient {
    client(base_url, Duration::from_secs(20))
}

fn message() -> OutboundMessage {
    OutboundMessage {
        to: Recipient::parse("+1234567890").unwrap(),
        recipient_type: RecipientType::Individual,
        context: None,
        biz_opaque_callback_data: Some("v1.note".to_owned()),
        content: Content::Text(Text {
            body: "private words".to_owned(),
            preview_url: true,
        }),
    }
}

async fn send(client: &GraphClient) -> Result<Accepted, SendError> {
    client
        .send_message(&SecretString::from(TOKEN), "106540352242922", &message())
        .await
}

/// Sends to a server that gives this reply, and checks that one request was made.
async fn send_to(reply: Reply) -> Result<Accepted, SendError> {
    let fake = Fake::start(vec![reply]).await;
    let result = send(&patient(&fake.url)).await;
    fake.only_request();
    result
}

fn refusal(status: u16, error: &Value) -> Reply {
    Reply::json(status, &json!({"error": error}))
}

#[tokio::test]
async fn a_message_goes_out_as_documented_and_its_id_comes_back() {
    let fake = Fake::start(vec![Reply::json(
        200,
        &json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": "+1234567890", "wa_id": "1234567890"}],
            "messages": [{"id": "wamid.HBgL", "message_status": "accepted"}]
        }),
    )])
    .await;
    let accepted = send(&patient(&fake.url)).await.unwrap();
    assert_eq!(
        accepted,
        Accepted {
            wamid: Some("wamid.HBgL".to_owned()),
            wa_id: Some("1234567890".to_owned()),
            message_status: Some("accepted".to_owned()),
        }
    );
    let request = fake.only_request();
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/v25.0/106540352242922/messages");
    assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(
        serde_json::from_str::<Value>(&request.body).unwrap(),
        json!({
            "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+1234567890",
            "type": "text", "text": {"body": "private words", "preview_url": true},
            "biz_opaque_callback_data": "v1.note"
        })
    );
}

#[tokio::test]
async fn a_base_url_with_a_path_keeps_it_and_ids_stay_one_segment() {
    let fake = Fake::start(vec![Reply::json(200, "{}")]).await;
    let client = patient(&fake.url.join("/proxy/").unwrap());
    let token = SecretString::from(TOKEN);
    client
        .send_message(&token, "a/../b?c", &message())
        .await
        .unwrap();
    assert_eq!(
        fake.only_request().target,
        "/proxy/v25.0/a%2F..%2Fb%3Fc/messages"
    );
    for bad in ["", ".", ".."] {
        let error = client
            .send_message(&token, bad, &message())
            .await
            .unwrap_err();
        assert_eq!(error.class, ErrorClass::NotSent, "{bad}");
    }
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn a_200_that_cannot_be_read_is_accepted_without_an_id() {
    let oversized = format!(
        r#"{{"messages":[{{"id":"wamid.x"}}],"pad":"{}"}}"#,
        "x".repeat(8 << 20)
    );
    for reply in [
        Reply::json(200, "<html>"),
        Reply::json(200, ""),
        Reply::json(200, r#"{"messages":[{"id":"wam"#),
        Reply::json(200, r#"{"messages":[]}"#),
        Reply::json(200, r#"{"messages":[{"id":7}]}"#),
        Reply::json(200, &oversized),
        Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"messages\":".to_vec()),
    ] {
        assert_eq!(send_to(reply).await, Ok(Accepted::default()));
    }
}

#[tokio::test]
async fn a_graph_error_is_not_accepted_and_tells_all_it_knows() {
    let reply = refusal(
        400,
        &json!({
            "message": "(#130429) Rate limit hit", "type": "OAuthException", "code": 130_429,
            "error_subcode": 2_494_055, "is_transient": false,
            "error_data": {"messaging_product": "whatsapp", "details": "Too many messages"},
            "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam"
        }),
    );
    let error = send_to(reply.with("retry-after", "7")).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::NotAccepted);
    assert_eq!(error.class, ErrorClass::RateLimitNumber);
    assert_eq!(
        (error.code, error.subcode),
        (Some(130_429), Some(2_494_055))
    );
    assert_eq!(error.title, "Rate limit hit");
    assert_eq!(error.details.as_deref(), Some("Too many messages"));
    assert_eq!(error.fbtrace_id.as_deref(), Some("Az8or2yhqkZfEZ-_4Qn_Bam"));
    assert_eq!(error.http_status, Some(400));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn each_kind_of_answer_has_its_class() {
    for (status, error, class) in [
        (
            401,
            json!({"code": 190, "error_subcode": 463}),
            ErrorClass::Credential,
        ),
        (403, json!({"code": 10}), ErrorClass::Credential),
        (429, json!({"code": 131_056}), ErrorClass::RateLimitPair),
        (400, json!({"code": 80_007}), ErrorClass::RateLimitAccount),
        (400, json!({"code": 4}), ErrorClass::RateLimitApp),
        (400, json!({"code": 131_048}), ErrorClass::SpamLimit),
        (400, json!({"code": 131_031}), ErrorClass::AccountState),
        (
            400,
            json!({"code": 100, "error_subcode": 33}),
            ErrorClass::AccountState,
        ),
        (400, json!({"code": 131_047}), ErrorClass::Permanent),
        (400, json!({"code": "131047"}), ErrorClass::Permanent),
        (503, json!({"code": 131_057}), ErrorClass::Retryable),
        (500, json!({"code": 1}), ErrorClass::Weak5xx),
        (503, json!({"code": 2}), ErrorClass::Weak5xx),
        (500, json!({"code": 131_000}), ErrorClass::Weak5xx),
        (503, json!({"code": 131_016}), ErrorClass::Weak5xx),
        (400, json!({"code": 999_999}), ErrorClass::Permanent),
        (
            400,
            json!({"code": 999_999, "is_transient": true}),
            ErrorClass::Retryable,
        ),
        (500, json!({}), ErrorClass::Weak5xx),
    ] {
        let failed = send_to(refusal(status, &error)).await.unwrap_err();
        assert_eq!(
            (failed.outcome, failed.class),
            (Outcome::NotAccepted, class),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_graph_api_leaves_the_outcome_unknown() {
    let html = Reply::Http(
        502,
        vec![("x-fb-trace-id", "trace".to_owned())],
        b"<html>".to_vec(),
    );
    let error = send_to(html).await.unwrap_err();
    assert_eq!(
        (error.outcome, error.class),
        (Outcome::Unknown, ErrorClass::Unknown)
    );
    assert_eq!(
        (error.http_status, error.fbtrace_id.as_deref()),
        (Some(502), Some("trace"))
    );
    for reply in [
        Reply::json(500, ""),
        Reply::json(503, r#"{"error":"busy"}"#),
        Reply::json(500, r#"{"message":"Internal Server Error"}"#),
        Reply::json(500, r#"{"error":{"code":1"#),
        Reply::json(
            500,
            &format!(r#"{{"error":{{"code":1,"x":"{}"}}}}"#, "x".repeat(8 << 20)),
        ),
        Reply::json(404, "<html>"),
        Reply::json(302, "").with("location", "/elsewhere"),
        Reply::json(302, r#"{"error":{"code":1}}"#),
        Reply::Raw(
            b"HTTP/1.1 500 X\r\ncontent-length: 500\r\n\r\n{\"error\":{\"code\":1}".to_vec(),
        ),
    ] {
        let error = send_to(reply).await.unwrap_err();
        assert_eq!(
            (error.outcome, error.class),
            (Outcome::Unknown, ErrorClass::Unknown)
        );
        assert!(error.http_status.is_some());
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    for reply in [
        Reply::Close,
        Reply::Raw(b"HTTP/1.1 20".to_vec()),
        Reply::Raw(b"hello".to_vec()),
    ] {
        let error = send_to(reply).await.unwrap_err();
        assert_eq!(
            (error.outcome, error.class),
            (Outcome::Unknown, ErrorClass::Unknown)
        );
        assert_eq!(error.http_status, None);
    }
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_the_outcome_unknown() {
    let fake = Fake::start(vec![Reply::Silence]).await;
    let error = send(&client(&fake.url, Duration::from_millis(300)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.outcome, error.class),
        (Outcome::Unknown, ErrorClass::Unknown)
    );
    fake.only_request();
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_was_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    for address in [
        format!("http://{closed}"),
        "http://does-not-exist.invalid".to_owned(),
    ] {
        not_sent(&patient(&address.parse().unwrap())).await;
    }
}

#[tokio::test]
async fn a_server_that_fails_at_tls_was_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("https://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(b"this is not TLS").await.unwrap();
        // The second one connects and hears nothing.
        let second = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(second);
    });
    not_sent(&patient(&url)).await;
    not_sent(&client(&url, Duration::from_secs(1))).await;
}

async fn not_sent(client: &GraphClient) {
    let error = send(client).await.unwrap_err();
    assert_eq!(
        (error.outcome, error.class),
        (Outcome::NotAccepted, ErrorClass::NotSent),
        "{client:?}"
    );
}

#[tokio::test]
async fn errors_show_no_token_recipient_or_text() {
    let reply = refusal(
        400,
        &json!({"code": 131_026, "message": "(#131026) Message undeliverable to 1234567890",
                "error_data": {"details": "private words to 1234567890"}}),
    );
    let error = send_to(reply).await.unwrap_err();
    assert_eq!(
        error.details.as_deref(),
        Some("private words to 1234567890")
    );
    for shown in [
        error.to_string(),
        format!("{error:?}"),
        format!("{error:#?}"),
    ] {
        for secret in [TOKEN, "1234567890", "private words"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(
            shown.contains("131026") || shown.contains("131_026"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn texts_of_an_answer_are_cut() {
    let reply = refusal(400, &json!({"code": 131_009, "message": "é".repeat(5000)}));
    assert_eq!(send_to(reply).await.unwrap_err().title, "é".repeat(500));
}

#[tokio::test]
async fn a_phone_number_can_be_probed() {
    let body = json!({
        "id": "106540352242922", "display_phone_number": "+1 555-078-3881",
        "verified_name": "Acme", "quality_rating": "GREEN", "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
        "whatsapp_business_manager_messaging_limit": "TIER_250", "new_field": [1]
    });
    let fake = Fake::start(vec![
        Reply::json(200, &body),
        Reply::json(200, r#"{"id":106540352242922}"#),
        Reply::json(200, "[]"),
        refusal(401, &json!({"code": 190})),
    ])
    .await;
    let (client, token) = (patient(&fake.url), SecretString::from(TOKEN));
    let probe = || client.probe_phone_number(&token, "106540352242922");

    let profile = probe().await.unwrap();
    assert_eq!(
        profile.display_phone_number.as_deref(),
        Some("+1 555-078-3881")
    );
    assert_eq!(profile.throughput_level.as_deref(), Some("STANDARD"));
    assert_eq!(profile.messaging_limit.as_deref(), Some("TIER_250"));
    let request = fake.only_request();
    assert_eq!(request.method, "GET");
    assert_eq!(
        request.target,
        "/v25.0/106540352242922?fields=id%2Cdisplay_phone_number%2Cverified_name%2C\
         quality_rating%2Cstatus%2Cthroughput%2Cwhatsapp_business_manager_messaging_limit%2C\
         platform_type%2Ccode_verification_status%2Cis_on_biz_app"
    );
    assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));

    let sparse = probe().await.unwrap();
    assert_eq!(
        (sparse.id.as_str(), sparse.quality_rating),
        ("106540352242922", None)
    );
    assert_eq!(probe().await.unwrap_err().class, ErrorClass::Unknown);
    assert_eq!(probe().await.unwrap_err().class, ErrorClass::Credential);
}

#[test]
fn only_http_addresses_are_base_urls() {
    let http = build(&ClientOptions::default()).unwrap();
    for bad in ["mailto:a@b", "ftp://host/", "data:text/plain,x"] {
        let made = GraphClient::new(http.clone(), bad.parse().unwrap(), "v25.0".to_owned());
        assert!(made.is_err(), "{bad}");
    }
}
