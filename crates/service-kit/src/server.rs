//! One listening port with our conventions around its routes.
//!
//! A service binds as many as it needs (API, pages) and runs them side by side until the order to
//! stop; what is in flight is then finished within the grace period.

use std::{io, net::SocketAddr, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::{Server as ActixServer, ServiceRequest},
    middleware::from_fn,
    web,
};
use opentelemetry::KeyValue;
use opentelemetry_instrumentation_actix_web::RequestMetrics;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;
use utoipa::openapi::OpenApi;

use crate::{
    config::HttpSection,
    error::ApiError,
    health::{Health, Readiness},
    http::{
        AddressLimits, BodyLimit, HttpsOnly, KnownPaths, RequestBounds, RootSpan, TrustedProxies,
        boundary, bounds, cors, no_route, rate_limits, security_headers, with_request_id,
    },
    telemetry::Telemetry,
};

/// A slow sender of headers does not keep a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the idle time of the gateway in front (nginx: 60 s), which closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What all ports of a service share.
#[derive(Clone)]
pub struct ServerOptions {
    /// Limits, origins, proxies.
    pub http: HttpSection,
    /// Answers `/health…`.
    pub health: Health,
    /// Answers `/metrics`.
    pub telemetry: Telemetry,
    /// Answers `/openapi.json`; none on a port of pages.
    pub openapi: Option<OpenApi>,
    /// How often one address may call; none on a port that nobody can reach from outside.
    pub limits: Option<AddressLimits>,
}

/// A bound port.
pub struct Server {
    addr: SocketAddr,
    server: ActixServer,
}

impl Server {
    /// Binds `address` (`host:port`, port 0 takes a free one) and puts `routes` behind the
    /// standard middleware. App data goes in through `routes`.
    pub fn bind<F>(address: &str, options: &ServerOptions, routes: F) -> io::Result<Self>
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let trusted = TrustedProxies::parse(&options.http.trusted_proxies)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let trusted = web::Data::new(trusted);
        let limit = web::Data::new(BodyLimit(options.http.body_limit_bytes));
        let size = web::Data::new(RequestBounds {
            header_bytes: options.http.header_limit_bytes,
            body_time: options.http.body_timeout(),
        });
        let limits = web::Data::new(options.limits.clone());
        let https_only = web::Data::new(HttpsOnly(options.http.https_only));
        let known = web::Data::new(
            options
                .openapi
                .as_ref()
                .map(KnownPaths::of)
                .unwrap_or_default(),
        );
        let document = options
            .openapi
            .as_ref()
            .map(crate::openapi::render)
            .transpose()
            .map_err(io::Error::other)?
            .map(|text| web::Data::new(Document(text)));
        let health = web::Data::new(options.health.clone());
        let telemetry = web::Data::new(options.telemetry.clone());
        let origins = options.http.allowed_origins.clone();
        let metrics = RequestMetrics::builder()
            .with_metric_attrs_from_req(metric_labels)
            .build();

        let mut server = HttpServer::new(move || {
            App::new()
                .app_data(trusted.clone())
                .app_data(limit.clone())
                .app_data(size.clone())
                .app_data(limits.clone())
                .app_data(https_only.clone())
                .app_data(known.clone())
                .app_data(health.clone())
                .app_data(telemetry.clone())
                .configure(|config| {
                    if let Some(document) = &document {
                        config.app_data(document.clone());
                        config
                            .service(web::resource("/openapi.json").route(web::get().to(openapi)));
                    }
                })
                .configure(operations)
                .configure(routes.clone())
                .default_service(web::to(no_route))
                .wrap(from_fn(bounds))
                .wrap(from_fn(rate_limits))
                .wrap(cors(&origins))
                .wrap(from_fn(boundary))
                .wrap(from_fn(security_headers))
                .wrap(metrics.clone())
                .wrap(TracingLogger::<RootSpan>::new())
                .wrap(from_fn(with_request_id))
        })
        .disable_signals()
        .client_request_timeout(HEADER_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .max_connections(options.http.max_connections)
        .shutdown_timeout(options.http.shutdown_grace_seconds);
        if options.http.workers > 0 {
            server = server.workers(options.http.workers);
        }
        let server = server.bind(address)?;
        let addr = server
            .addrs()
            .first()
            .copied()
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        Ok(Self {
            addr,
            server: server.run(),
        })
    }

    /// The address that is listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop` is cancelled, then finishes what is in flight.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let handle = self.server.handle();
        let mut server = self.server;
        tokio::select! {
            ended = &mut server => return ended,
            () = stop.cancelled() => {}
        }
        let (ended, ()) = tokio::join!(server, handle.stop(true));
        ended
    }
}

struct Document(String);

async fn openapi(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.0.clone())
}

fn operations(config: &mut web::ServiceConfig) {
    // Resources, not routes: another method is then answered 405.
    for path in ["/health", "/health/ready"] {
        config.service(web::resource(path).route(web::get().to(ready)));
    }
    config
        .service(web::resource("/health/live").route(web::get().to(live)))
        .service(web::resource("/metrics").route(web::get().to(metrics)));
}

async fn live(health: web::Data<Health>) -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({
        "status": "alive",
        "service": health.service(),
        "version": health.version(),
    }))
}

async fn ready(health: web::Data<Health>) -> HttpResponse {
    let report = health.report().await;
    match report.status {
        Readiness::Ready => HttpResponse::Ok().json(report),
        Readiness::NotReady => HttpResponse::ServiceUnavailable().json(report),
    }
}

async fn metrics(telemetry: web::Data<Telemetry>) -> Result<HttpResponse, ApiError> {
    let (content_type, body) = telemetry.render_metrics().map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type(content_type).body(body))
}

/// Closed sets only: a label from a header would let callers fill our memory.
fn metric_labels(request: &ServiceRequest, route: std::borrow::Cow<'static, str>) -> Vec<KeyValue> {
    vec![
        KeyValue::new(
            "http.request.method",
            crate::http::method_name(request.method()),
        ),
        KeyValue::new("http.route", route.into_owned()),
    ]
}
