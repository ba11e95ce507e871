//! The log's form: one JSON object per line, from a closed list of span fields.

use std::{collections::BTreeMap, fmt};

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::Context,
    registry::LookupSpan,
};

/// Span fields that log lines repeat. Ids and closed sets only: never names, numbers or texts.
const SPAN_FIELDS: [&str; 10] = [
    "request_id",
    "tenant.id",
    "user.id",
    "session.id",
    "message.id",
    "conversation.id",
    "event.id",
    "event.type",
    "job",
    "consumer",
];

/// The two layers of the log: one keeps span fields, one writes lines.
pub(super) fn layer<S>(service: &'static str, filter: &str) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Validated with the settings; a text from elsewhere falls back to info.
    let events: Targets = filter
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(tracing::level_filters::LevelFilter::INFO));
    // Spans pass whatever the level is: they carry the ids of the lines that do get through.
    let is_span = filter_fn(|metadata: &Metadata<'_>| {
        metadata.is_span() && *metadata.level() <= tracing::Level::INFO
    });
    let filter = is_span.or(events.and(filter_fn(is_discreet)));
    let lines = tracing_subscriber::fmt::layer()
        .event_format(JsonLine { service })
        .fmt_fields(NoFields)
        .with_ansi(false);
    SpanFields.and_then(lines).with_filter(filter)
}

/// Whether a line may be written whatever level the settings ask for. actix repeats the path and the
/// query of a request that it cannot read, and a caller may have put a token there.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= tracing::Level::INFO || !metadata.target().starts_with("actix_web")
}

#[derive(Default)]
struct Kept(BTreeMap<&'static str, Value>);

struct SpanFields;

impl<S> Layer<S> for SpanFields
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut kept = Kept::default();
        attributes.record(&mut OnlyListed(&mut kept));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(kept);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(kept) = span.extensions_mut().get_mut::<Kept>()
        {
            values.record(&mut OnlyListed(kept));
        }
    }
}

struct OnlyListed<'a>(&'a mut Kept);

impl OnlyListed<'_> {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        if let Some(name) = SPAN_FIELDS.iter().find(|name| **name == field.name()) {
            self.0.0.insert(name, value.into());
        }
    }
}

impl Visit for OnlyListed<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }
}

/// The line itself; formatted span fields are not used.
struct NoFields;

impl<'writer> FormatFields<'writer> for NoFields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        _: Writer<'writer>,
        _: R,
    ) -> fmt::Result {
        Ok(())
    }
}

struct JsonLine {
    service: &'static str,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        line.insert("timestamp".to_owned(), now.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("service".to_owned(), self.service.into());
        line.insert("target".to_owned(), event.metadata().target().into());
        if let Some(scope) = context.event_scope() {
            let mut innermost = None;
            for span in scope.from_root() {
                if let Some(kept) = span.extensions().get::<Kept>() {
                    for (name, value) in &kept.0 {
                        line.insert((*name).to_owned(), value.clone());
                    }
                }
                innermost = Some(span.id());
            }
            if let Some(id) = innermost {
                add_trace(&mut line, &id);
            }
        }
        event.record(&mut IntoLine(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

fn add_trace(line: &mut Map<String, Value>, id: &Id) {
    let context = tracing::dispatcher::get_default(|dispatch| {
        tracing_opentelemetry::get_otel_context(id, dispatch)
    });
    let Some(context) = context else { return };
    let span = context.span();
    let ids = span.span_context();
    if ids.is_valid() {
        line.insert("trace_id".to_owned(), ids.trace_id().to_string().into());
        line.insert("span_id".to_owned(), ids.span_id().to_string().into());
    }
}

struct IntoLine<'a>(&'a mut Map<String, Value>);

impl IntoLine<'_> {
    fn add(&mut self, field: &Field, value: Value) {
        // Records of the `log` crate carry their origin as fields.
        match field.name() {
            "log.target" => self.0.insert("target".to_owned(), value),
            name if name.starts_with("log.") => None,
            name => self.0.insert(name.to_owned(), value),
        };
    }
}

impl Visit for IntoLine<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        self.add(field, text.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}
