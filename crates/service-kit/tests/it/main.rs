//! A server with our conventions, spoken to over HTTP.
#![allow(
    clippy::allow_attributes,
    reason = "the switches for tests do not reach helpers"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod abuse;
mod life;
mod requests;
mod traces;

use std::time::Duration;

use actix_web::{HttpResponse, get, post, web};
use portal_service_kit::{
    ApiError,
    config::{HttpSection, TelemetrySection},
    health::Health,
    http::{AddressLimits, ClientAddress, RequestId, ValidJson, ValidPath, ValidQuery},
    http_client::{self, ClientOptions},
    openapi,
    server::{Server, ServerOptions},
    telemetry::{self, propagation},
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
    size: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<u8>,
}

#[utoipa::path(responses((status = 200, description = "The thing", body = Thing)))]
#[post("/things")]
async fn create(body: ValidJson<Thing>) -> HttpResponse {
    HttpResponse::Ok().json(body.0)
}

#[utoipa::path(responses((status = 200), (status = 404)))]
#[get("/things/{id}")]
async fn read(id: ValidPath<u32>, filter: ValidQuery<Filter>) -> Result<HttpResponse, ApiError> {
    if id.0 == 0 {
        let source = anyhow::anyhow!("password=hunter2");
        return Err(ApiError::internal(source));
    }
    Ok(HttpResponse::Ok().body(format!("{} {:?}", id.0, filter.0.limit)))
}

#[utoipa::path(responses((status = 200, description = "What is known of the request")))]
#[get("/echo")]
async fn echo(id: RequestId, client: ClientAddress) -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({
        "request_id": id.as_str(),
        "current": RequestId::current().unwrap().as_str(),
        "client": client.0,
        "traceparent": propagation::current_traceparent(),
    }))
}

#[utoipa::path(responses((status = 200, description = "Late")))]
#[get("/slow")]
async fn slow(started: web::Data<CancellationToken>) -> HttpResponse {
    started.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    HttpResponse::Ok().body("done")
}

fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(read)
        .service(echo)
        .service(slow);
}

struct Running {
    base: String,
    client: reqwest::Client,
    stop: CancellationToken,
    slow_started: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

impl Running {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path))
    }
}

fn start() -> Running {
    start_with(Health::builder("demo-service", "1.2.3"))
}

fn start_with(health: portal_service_kit::health::HealthBuilder) -> Running {
    start_all(health, None)
}

fn start_limited(limits: AddressLimits) -> Running {
    start_all(Health::builder("demo-service", "1.2.3"), Some(limits))
}

fn start_all(
    health: portal_service_kit::health::HealthBuilder,
    limits: Option<AddressLimits>,
) -> Running {
    let stop = CancellationToken::new();
    let slow_started = CancellationToken::new();
    let telemetry = telemetry::init("demo-service", &TelemetrySection::default()).unwrap();
    let options = ServerOptions {
        http: HttpSection {
            bind: "127.0.0.1:0".to_owned(),
            allowed_origins: vec!["https://portal.example".to_owned()],
            body_limit_bytes: 1_024,
            trusted_proxies: vec!["127.0.0.1".to_owned()],
            shutdown_grace_seconds: 5,
            workers: 1,
            header_limit_bytes: 8 * 1_024,
            body_timeout_seconds: 1,
            max_connections: 64,
            https_only: false,
        },
        health: health.draining_on(stop.clone()).build(),
        telemetry,
        openapi: Some(openapi::document(
            utoipa::openapi::OpenApi::default(),
            routes,
        )),
        limits,
    };
    let started = web::Data::new(slow_started.clone());
    let server = Server::bind("127.0.0.1:0", &options, move |config| {
        config.app_data(started.clone());
        openapi::mount(config, routes);
    })
    .unwrap();
    let base = format!("http://{}", server.addr());
    let server = tokio::spawn(server.run(stop.clone()));
    let client = http_client::build(&ClientOptions::default()).unwrap();
    Running {
        base,
        client,
        stop,
        slow_started,
        server,
    }
}
