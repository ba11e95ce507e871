//! Trace context across HTTP and AMQP: W3C `traceparent` and `tracestate`.

use std::collections::HashMap;

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{SpanContext, TraceContextExt},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

struct Carrier(HashMap<String, String>);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// The headers that carry the current span on; none without telemetry.
pub fn current_trace_headers() -> Vec<(String, String)> {
    let mut carrier = Carrier(HashMap::new());
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut carrier);
    });
    carrier
        .0
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// The `traceparent` of the current span, as outbox rows and events keep it.
pub fn current_traceparent() -> Option<String> {
    current_trace_headers()
        .into_iter()
        .find_map(|(name, value)| (name == "traceparent").then_some(value))
}

/// The trace id of the current span, as audit rows keep it.
pub fn current_trace_id() -> Option<String> {
    let context = Span::current().context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Makes the span a child of the span that the headers name; call it before the span is entered.
pub fn set_parent_from_headers<'a>(span: &Span, headers: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(context) = remote_context(headers) else {
        return;
    };
    if let Err(error) = span.set_parent(context) {
        tracing::debug!(%error, "the span has no place for a parent");
    }
}

fn remote_context<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Context> {
    let carrier = Carrier(
        headers
            .filter(|(name, _)| {
                name.eq_ignore_ascii_case("traceparent") || name.eq_ignore_ascii_case("tracestate")
            })
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
    );
    if carrier.0.is_empty() {
        return None;
    }
    let context = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &carrier)
    });
    let remote: &SpanContext = &context.span().span_context().clone();
    remote.is_valid().then_some(context)
}
