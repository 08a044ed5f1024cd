//! The JSON log: one object a line, with numbers as numbers.
//!
//! An event's fields are on the top level, along with those of the spans around it. So each
//! line of a call names its batch and its caller. tracing-subscriber's own JSON format writes
//! the spans' fields as objects of their own, and can't write an object such as `outcomes`.

use std::{
    fmt,
    io::{self, Write},
    time::SystemTime,
};

use serde::{Serialize, Serializer};
use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Writes each event as a line to standard error.
pub(super) struct JsonLayer;

/// The fields of a span or an event, in the order in which they're written.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

/// Fields whose `Debug` output is JSON.
const OBJECTS: [&str; 3] = ["outcomes", "limits", "sources"];

impl<S> Layer<S> for JsonLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        let now = humantime::format_rfc3339_micros(SystemTime::now());
        line.insert("timestamp", now.to_string());
        line.insert("level", event.metadata().level().as_str());
        event.record(&mut line);
        line.insert("target", event.metadata().target());
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Fields(fields)) = span.extensions().get() {
                line.inherit(fields);
            }
        }
        if let Ok(mut text) = serde_json::to_string(&line) {
            text.push('\n');
            // There's nobody to tell if standard error is closed.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Fields {
    /// Adds the fields of a span. If there are several of the same name, the innermost
    /// counts.
    fn inherit(&mut self, fields: &[(&'static str, Value)]) {
        for field in fields {
            if !self.0.iter().any(|(name, _)| *name == field.0) {
                self.0.push(field.clone());
            }
        }
    }

    fn insert(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let object = OBJECTS.contains(&field.name()).then(|| text.parse());
        let value = object.and_then(Result::ok);
        self.insert(field.name(), value.unwrap_or(Value::String(text)));
    }
}
