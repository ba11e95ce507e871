//! Logs, traces and metrics of a process.
//!
//! Logs are JSON lines on stdout with `service`, `trace_id`, `span_id` and `request_id`. Spans
//! always have ids, so that logs and events can be joined, and leave over OTLP when an endpoint is
//! set. Metrics are read at `/metrics`.
//!
//! Call [`init`] first: instruments made before it count nothing.

mod export;
mod log;
pub mod propagation;

use std::sync::OnceLock;

use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use prometheus::{Encoder, Registry, TextEncoder};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::TelemetrySection;

/// Why telemetry cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The OTLP exporter cannot be made.
    #[error("cannot send traces to telemetry.otlp_endpoint")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The exporter's HTTP client cannot be made.
    #[error("cannot make the client that sends traces")]
    Client(#[source] anyhow::Error),
    /// The Prometheus registry cannot be made.
    #[error("cannot collect metrics")]
    Metrics(#[source] anyhow::Error),
}

/// The telemetry of this process; clones share it.
#[derive(Debug, Clone)]
pub struct Telemetry {
    tracer_provider: SdkTracerProvider,
    meter_provider: SdkMeterProvider,
    registry: Registry,
}

// The subscriber, the propagator and the providers are global in their libraries: a second
// service in the same process (tests) must get the same ones.
static INSTALLED: OnceLock<Telemetry> = OnceLock::new();

/// Installs telemetry for the process; a later call gets what the first one installed.
pub fn init(
    service: &'static str,
    settings: &TelemetrySection,
) -> Result<Telemetry, TelemetryError> {
    if let Some(telemetry) = INSTALLED.get() {
        return Ok(telemetry.clone());
    }
    let telemetry = Telemetry::build(service, settings)?;
    if INSTALLED.set(telemetry.clone()).is_ok() {
        telemetry.install(service, settings);
    }
    // Whoever came first has won, also against a call that ran beside this one.
    Ok(INSTALLED.get().cloned().unwrap_or(telemetry))
}

impl Telemetry {
    fn build(service: &'static str, settings: &TelemetrySection) -> Result<Self, TelemetryError> {
        let resource = Resource::builder().with_service_name(service).build();
        let mut tracer_provider = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
        if let Some(endpoint) = &settings.otlp_endpoint {
            let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
            let client = export::ExportClient::new().map_err(TelemetryError::Client)?;
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .with_http_client(client)
                .with_endpoint(endpoint)
                .build()
                .map_err(TelemetryError::Exporter)?;
            tracer_provider = tracer_provider.with_batch_exporter(exporter);
        }
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .map_err(|error| TelemetryError::Metrics(error.into()))?;
        registry
            .register(Box::new(
                prometheus::process_collector::ProcessCollector::for_self(),
            ))
            .map_err(|error| TelemetryError::Metrics(error.into()))?;
        let meter_provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader)
            .build();
        Ok(Self {
            tracer_provider: tracer_provider.build(),
            meter_provider,
            registry,
        })
    }

    fn install(&self, service: &'static str, settings: &TelemetrySection) {
        global::set_text_map_propagator(TraceContextPropagator::new());
        global::set_tracer_provider(self.tracer_provider.clone());
        global::set_meter_provider(self.meter_provider.clone());

        // Spans are made whatever the level of the log is: a quiet log must not end traces.
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.tracer_provider.tracer("portal"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(trace_filter());
        let installed = tracing_subscriber::registry()
            .with(spans)
            .with(log::layer(service, &settings.log))
            .try_init();
        if let Err(error) = installed {
            tracing::warn!(%error, "another subscriber is installed; logs keep its form");
        }
    }

    /// The metrics as Prometheus reads them.
    pub fn render_metrics(&self) -> Result<(String, String), prometheus::Error> {
        let encoder = TextEncoder::new();
        let mut body = Vec::new();
        encoder.encode(&self.registry.gather(), &mut body)?;
        Ok((
            encoder.format_type().to_owned(),
            String::from_utf8_lossy(&body).into_owned(),
        ))
    }

    /// Sends what is still held back; call it last. Blocks for some seconds at worst.
    pub fn shutdown(&self) {
        if let Err(error) = self.tracer_provider.force_flush() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Spans of our code, not of the libraries below it (the exporter's own calls would be traced).
fn trace_filter() -> Targets {
    use tracing::level_filters::LevelFilter;
    Targets::new().with_default(LevelFilter::INFO).with_targets(
        [
            "hyper",
            "hyper_util",
            "reqwest",
            "h2",
            "opentelemetry",
            "lapin",
            "rustls",
            "actix_server",
        ]
        .map(|target| (target, LevelFilter::OFF)),
    )
}
