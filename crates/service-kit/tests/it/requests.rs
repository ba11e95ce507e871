//! Requests and their answers.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::start;

async fn error(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    let header = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], code, "{body}");
    assert_eq!(body["requestId"], header);
    body
}

#[tokio::test]
async fn errors_of_every_origin_have_one_shape() {
    let app = start();
    error(app.get("/nowhere").send().await.unwrap(), 404, "NOT_FOUND").await;
    let wrong = app
        .client
        .delete(app.url("/things/7"))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.headers()["allow"], "GET");
    error(wrong, 405, "METHOD_NOT_ALLOWED").await;
    let operations = app.client.post(app.url("/metrics")).send().await.unwrap();
    error(operations, 405, "METHOD_NOT_ALLOWED").await;
    error(
        app.get("/things/x").send().await.unwrap(),
        400,
        "VALIDATION_FAILED",
    )
    .await;
    error(
        app.get("/things/7?limit=999").send().await.unwrap(),
        400,
        "VALIDATION_FAILED",
    )
    .await;
    error(
        app.get("/things/7?what=1").send().await.unwrap(),
        400,
        "VALIDATION_FAILED",
    )
    .await;
}

#[tokio::test]
async fn our_own_faults_say_nothing_of_their_cause() {
    let app = start();
    let body = error(
        app.get("/things/0").send().await.unwrap(),
        500,
        "INTERNAL_ERROR",
    )
    .await;
    assert!(!body.to_string().contains("hunter2"), "{body}");
}

#[tokio::test]
async fn bodies_are_checked_before_the_handler() {
    let app = start();
    let post = || app.client.post(app.url("/things"));
    let good = post()
        .json(&json!({"name": "a", "size": 1}))
        .send()
        .await
        .unwrap();
    assert_eq!(good.status(), StatusCode::OK);
    let typed = post().header("content-type", "application/json; charset=utf-8");
    let typed = typed.body(r#"{"name":"a","size":1}"#).send().await.unwrap();
    assert_eq!(typed.status(), StatusCode::OK);

    let text = post()
        .body("{}")
        .header("content-type", "text/plain")
        .send()
        .await
        .unwrap();
    error(text, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    let untyped = post().body("{}").send().await.unwrap();
    error(untyped, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    let broken = post().header("content-type", "application/json").body("{");
    error(broken.send().await.unwrap(), 400, "INVALID_JSON").await;
    let large = post()
        .json(&json!({"name": "a".repeat(2_000), "size": 1}))
        .send()
        .await
        .unwrap();
    error(large, 413, "BODY_TOO_LARGE").await;

    let wrong = post()
        .json(&json!({"name": 1, "extra": true}))
        .send()
        .await
        .unwrap();
    let body = error(wrong, 400, "VALIDATION_FAILED").await;
    let mut fields: Vec<&str> = body["error"]["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|detail| detail["field"].as_str().unwrap())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["extra", "name", "size"]);
}

#[tokio::test]
async fn request_ids_are_taken_or_made() {
    let app = start();
    let given = app
        .get("/echo")
        .header("x-request-id", "from-caller-1")
        .send()
        .await
        .unwrap();
    assert_eq!(given.headers()["x-request-id"], "from-caller-1");
    let body: Value = given.json().await.unwrap();
    assert_eq!(body["request_id"], "from-caller-1");
    assert_eq!(body["current"], "from-caller-1");
    let odd = app
        .get("/echo")
        .header("x-request-id", "a b")
        .send()
        .await
        .unwrap();
    let made = odd.headers()["x-request-id"].to_str().unwrap();
    assert_eq!(made.len(), 36);
    assert_eq!(made.as_bytes()[14], b'7', "a UUIDv7: {made}");
}

#[tokio::test]
async fn traces_go_on_from_the_caller() {
    let app = start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let body: Value = app
        .get("/echo")
        .header("traceparent", parent)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let ours = body["traceparent"].as_str().unwrap();
    assert!(
        ours.contains(trace) && !ours.contains("00f067aa0ba902b7"),
        "{ours}"
    );
    let body: Value = app.get("/echo").send().await.unwrap().json().await.unwrap();
    assert!(
        body["traceparent"]
            .as_str()
            .is_some_and(|own| !own.contains(trace)),
        "{body}"
    );
}

#[tokio::test]
async fn clients_behind_the_trusted_proxy_are_known() {
    let app = start();
    let body: Value = app
        .get("/echo")
        .header("x-forwarded-for", "6.6.6.6, 203.0.113.7")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(body["client"], "203.0.113.7");
}

#[tokio::test]
async fn only_listed_origins_may_call() {
    let app = start();
    let preflight = |origin: &'static str| {
        app.client
            .request(reqwest::Method::OPTIONS, app.url("/things"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,idempotency-key",
            )
    };
    let good = preflight("https://portal.example").send().await.unwrap();
    assert_eq!(good.status(), StatusCode::OK);
    assert_eq!(
        good.headers()["access-control-allow-origin"],
        "https://portal.example"
    );
    for origin in [
        "https://evil.example",
        "https://portal.example.evil.example",
        "null",
    ] {
        let bad = preflight(origin).send().await.unwrap();
        assert!(
            !bad.headers().contains_key("access-control-allow-origin"),
            "{origin}"
        );
        let plain = app
            .get("/echo")
            .header("origin", origin)
            .send()
            .await
            .unwrap();
        assert!(
            !plain.headers().contains_key("access-control-allow-origin"),
            "{origin}"
        );
    }
    let failed = app
        .get("/nowhere")
        .header("origin", "https://portal.example");
    let failed = failed.send().await.unwrap();
    assert_eq!(
        failed.headers()["access-control-allow-origin"],
        "https://portal.example"
    );
    let exposed = failed.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap();
    for header in ["x-request-id", "idempotent-replayed", "retry-after"] {
        assert!(exposed.contains(header), "{exposed}");
    }
}

#[tokio::test]
async fn every_answer_has_safe_headers() {
    let app = start();
    for path in ["/echo", "/nowhere", "/health/live"] {
        let response = app.get(path).send().await.unwrap();
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
        assert_eq!(
            response.headers()["referrer-policy"],
            "no-referrer",
            "{path}"
        );
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert!(!response.headers().contains_key("server"), "{path}");
    }
}

#[tokio::test]
async fn the_document_is_served_and_complete() {
    let app = start();
    let document: Value = app
        .get("/openapi.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    let responses = &document["paths"]["/things/{id}"]["get"]["responses"];
    for (status, response) in responses.as_object().unwrap() {
        assert!(
            response["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{status}"
        );
    }
    let schema = &responses["404"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/Error");
}

#[tokio::test]
async fn metrics_have_closed_labels() {
    let app = start();
    let odd = reqwest::Method::from_bytes(b"WHATEVER").unwrap();
    app.client
        .request(odd, app.url("/echo"))
        .send()
        .await
        .unwrap();
    app.get("/things/12345")
        .header("host", "unheard-of.example")
        .send()
        .await
        .unwrap();
    let text = app
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        text.contains("http_server_request_duration_seconds_bucket"),
        "{text}"
    );
    assert!(text.contains(r#"http_route="/things/{id}""#), "{text}");
    assert!(text.contains("process_resident_memory_bytes"), "{text}");
    for leak in ["12345", "WHATEVER", "unheard-of"] {
        assert!(!text.contains(leak), "{leak}");
    }
}
