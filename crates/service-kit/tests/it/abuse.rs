//! Clients that send too much, too slowly, or too often; over plain TCP, as they do it.

use std::time::Duration;

use portal_cache::{Cache, Limiter};
use portal_service_kit::{config::LimitsSection, http::AddressLimits};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Running, start, start_limited};

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(app: &Running) -> TcpStream {
    let address = app.base.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Everything until the server closes the connection; fails if it never does.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        let mut chunk = [0; 4_096];
        // A reset also closes.
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..count]);
        }
    };
    timeout(PATIENCE, reading)
        .await
        .expect("the server keeps a connection of a bad client");
    String::from_utf8_lossy(&answer).into_owned()
}

fn error_code(answer: &str) -> String {
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["error"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("not our shape: {answer}"))
        .to_owned()
}

#[tokio::test]
async fn headers_that_trickle_in_keep_no_connection() {
    let app = start();
    let mut stream = connect(&app).await;
    stream
        .write_all(b"GET /things/7 HTTP/1.1\r\nHost: a\r\n")
        .await
        .unwrap();
    let (mut read, mut write) = stream.split();
    let dripping = async {
        // The server is expected to end this.
        while write.write_all(b"X-A: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => {}
        _ = read.read_to_end(&mut answer) => {}
        () = tokio::time::sleep(PATIENCE) => panic!("a slow sender of headers is served for ever"),
    }
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[tokio::test]
async fn a_body_that_trickles_in_is_cut() {
    let app = start();
    let mut stream = connect(&app).await;
    stream
        .write_all(
            b"POST /things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
              Content-Length: 1000\r\n\r\n{",
        )
        .await
        .unwrap();
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let dripping = async {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = dripping => {}
        _ = read.read_to_end(&mut answer) => {}
        () = tokio::time::sleep(PATIENCE) => panic!("a slow sender of a body is served for ever"),
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert_eq!(error_code(&answer), "BODY_TOO_SLOW");
}

#[tokio::test]
async fn a_body_that_stops_halfway_is_cut() {
    let app = start();
    let mut stream = connect(&app).await;
    stream
        .write_all(
            b"POST /things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
              Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        )
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(error_code(&answer), "BODY_TOO_SLOW");
}

#[tokio::test]
async fn large_headers_are_refused() {
    let app = start();
    let answer = app
        .get("/things/7")
        .header("x-large", "a".repeat(9_000))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "HEADERS_TOO_LARGE");

    // What does not even fit into the server's buffer never reaches our code: no shape, but an end.
    let mut stream = connect(&app).await;
    let flood = vec![b'a'; 200 * 1_024];
    stream
        .write_all(b"GET /things/7 HTTP/1.1\r\nHost: a\r\nX-Large: ")
        .await
        .unwrap();
    // The server may hang up before all of it is written.
    drop(stream.write_all(&flood).await);
    let answer = until_closed(&mut stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_flood_of_chunks_ends_at_the_limit() {
    let app = start();
    let mut stream = connect(&app).await;
    stream
        .write_all(
            b"POST /things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
              Transfer-Encoding: chunked\r\n\r\n",
        )
        .await
        .unwrap();
    let chunk = [b"400\r\n".as_slice(), &[b' '; 0x400], b"\r\n"].concat();
    let mut answer = vec![0; 4_096];
    let mut sent = 0;
    let (mut read, mut write) = stream.split();
    let count = loop {
        // 64 MB would be a server that takes everything.
        assert!(sent < 64 * 1_024 * 1_024, "the flood has no end");
        tokio::select! {
            biased;
            count = read.read(&mut answer) => break count.unwrap_or(0),
            written = write.write(&chunk) => match written {
                Ok(written) => sent += written,
                Err(_hung_up) => break read.read(&mut answer).await.unwrap_or(0),
            },
        }
    };
    let answer = String::from_utf8_lossy(&answer[..count]);
    if !answer.is_empty() {
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert_eq!(error_code(&answer), "BODY_TOO_LARGE");
    }
}

#[tokio::test]
async fn the_rest_of_a_refused_body_is_not_waited_for() {
    let app = start();
    let mut stream = connect(&app).await;
    stream
        .write_all(
            b"POST /things HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
              Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        )
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
}

#[tokio::test]
async fn an_address_that_calls_too_often_is_told_when_to_come_again() {
    // Redis is away: the process counts for itself, which is enough here.
    let cache = Cache::connect(&"redis://127.0.0.1:9/".into(), "").unwrap();
    let section = LimitsSection {
        per_address_per_minute: 6,
        per_address_burst: 3,
        ..LimitsSection::default()
    };
    let app = start_limited(AddressLimits::new(Limiter::new(cache), &section));
    let call = |from: &str| {
        app.get("/things/7")
            .header("x-forwarded-for", from.to_owned())
    };
    for left in [2, 1, 0] {
        let answer = call("203.0.113.7").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let headers = answer.headers();
        assert_eq!(headers["ratelimit-policy"], "\"address\";q=3;w=30");
        let standing = headers["ratelimit"].to_str().unwrap();
        assert!(
            standing.starts_with(&format!("\"address\";r={left};t=")),
            "{standing}"
        );
    }
    let refused = call("203.0.113.7")
        .header("origin", "https://portal.example")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    // A page may read it, too.
    let exposed = refused.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap()
        .to_owned();
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "RATE_LIMITED");
    // Who pretends to be somebody else before the proxy is still the same; others are others.
    let pretended = call("198.51.100.9, 203.0.113.7").send().await.unwrap();
    assert_eq!(pretended.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(call("203.0.113.8").send().await.unwrap().status(), 200);
    for path in ["/health/live", "/metrics"] {
        let answer = app.get(path).header("x-forwarded-for", "203.0.113.7");
        assert_eq!(answer.send().await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn only_the_listed_pages_may_read_answers() {
    let app = start();
    let call = async |origin: &str| {
        let answer = app
            .get("/echo")
            .header("origin", origin.to_owned())
            .send()
            .await
            .unwrap();
        let header = |name| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        (
            header("access-control-allow-origin"),
            header("access-control-allow-credentials"),
        )
    };
    let (allowed, credentials) = call("https://portal.example").await;
    assert_eq!(allowed.as_deref(), Some("https://portal.example"));
    assert_eq!(credentials.as_deref(), Some("true"));
    for stranger in [
        "null",
        "https://portal.example.evil.example",
        "https://portal.example:8443",
        "http://portal.example",
        "https://PORTAL.example.",
        "https://evil.example",
    ] {
        assert_eq!(call(stranger).await.0, None, "{stranger}");
    }
}
