//! Traces on their way to a collector.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use portal_service_kit::{
    config::TelemetrySection,
    telemetry::{self, propagation},
};

#[derive(Clone, Default)]
struct Collector {
    bytes: Arc<AtomicUsize>,
}

async fn collect(
    request: HttpRequest,
    body: web::Bytes,
    collector: web::Data<Collector>,
) -> HttpResponse {
    if request.path() == "/v1/traces" && request.headers().contains_key("content-type") {
        collector.bytes.fetch_add(body.len(), Ordering::SeqCst);
    }
    HttpResponse::Ok().finish()
}

fn start_collector() -> (Collector, String) {
    let collector = Collector::default();
    let data = web::Data::new(collector.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .default_service(web::to(collect))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let endpoint = format!("http://{}", server.addrs()[0]);
    tokio::spawn(server.run());
    (collector, endpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_the_collector_at_the_latest_when_the_process_ends() {
    let (collector, endpoint) = start_collector();
    let settings = TelemetrySection {
        otlp_endpoint: Some(endpoint),
        ..TelemetrySection::default()
    };
    let telemetry = telemetry::init("demo-service", &settings).unwrap();
    let span = tracing::info_span!("work");
    let traceparent = span.in_scope(propagation::current_traceparent).unwrap();
    assert!(traceparent.ends_with("-01"), "sampled: {traceparent}");
    drop(span);
    tokio::task::spawn_blocking(move || telemetry.shutdown())
        .await
        .unwrap();
    assert!(
        collector.bytes.load(Ordering::SeqCst) > 0,
        "nothing was sent"
    );
}

#[tokio::test]
async fn a_second_start_in_one_process_shares_the_first() {
    let settings = TelemetrySection::default();
    let first = telemetry::init("demo-service", &settings).unwrap();
    let second = telemetry::init("other-service", &settings).unwrap();
    opentelemetry::global::meter("test")
        .u64_counter("things")
        .build()
        .add(3, &[]);
    for telemetry in [first, second] {
        let (_, text) = telemetry.render_metrics().unwrap();
        assert!(text.contains("things_total{"), "{text}");
    }
}

#[tokio::test]
async fn context_travels_by_headers() {
    telemetry::init("demo-service", &TelemetrySection::default()).unwrap();
    let sending = tracing::info_span!("sending");
    let headers = sending.in_scope(propagation::current_trace_headers);
    let receiving = tracing::info_span!("receiving");
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    propagation::set_parent_from_headers(&receiving, pairs);
    let sent = sending.in_scope(propagation::current_trace_id).unwrap();
    assert_eq!(
        receiving.in_scope(propagation::current_trace_id).unwrap(),
        sent
    );

    let stranger = tracing::info_span!("stranger");
    propagation::set_parent_from_headers(&stranger, [("traceparent", "junk")].into_iter());
    assert_ne!(
        stranger.in_scope(propagation::current_trace_id).unwrap(),
        sent
    );
}
