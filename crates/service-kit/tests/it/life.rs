//! Start, health and stop.

use portal_service_kit::health::Health;
use serde_json::{Value, json};

use super::{start, start_with};

#[tokio::test]
async fn readiness_names_each_dependency() {
    let health = Health::builder("demo-service", "1.2.3")
        .check("database", true, || async {
            Err("does not answer".to_owned())
        })
        .check("redis", false, || async { Ok(()) });
    let app = start_with(health);
    for path in ["/health", "/health/ready"] {
        let response = app.get(path).send().await.unwrap();
        assert_eq!(response.status(), 503, "{path}");
        let body: Value = response.json().await.unwrap();
        let expected = json!({
            "status": "not_ready", "service": "demo-service", "version": "1.2.3",
            "dependencies": {
                "database": {"status": "down", "required": true, "message": "does not answer"},
                "redis": {"status": "up", "required": false},
            },
        });
        assert_eq!(body, expected);
    }
    assert_eq!(app.get("/health/live").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_in_flight_is_finished() {
    let app = start();
    let request = app.get("/slow").send();
    let request = tokio::spawn(request);
    app.slow_started.cancelled().await;
    app.stop.cancel();
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "done");
    app.server.await.unwrap().unwrap();
    let gone = app.client.get(format!("{}/echo", app.base)).send().await;
    assert!(gone.is_err_and(|error| error.is_connect()));
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let app = start();
    let address = app.base.trim_start_matches("http://").to_owned();
    let second = std::net::TcpListener::bind(&address);
    assert!(second.is_err());
    app.stop.cancel();
    app.server.await.unwrap().unwrap();
}
