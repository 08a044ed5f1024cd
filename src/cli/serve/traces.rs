//! The settings of traces in the environment: the variables that OpenTelemetry defines.
//!
//! OpenTelemetry's own library ignores wrong values. We refuse to start, as for our flags.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::cli::usage::{Usage, without_secrets};
use fetchd::config::{InvalidRatio, OtlpEndpoint, Sampler, Traces};

/// Looks up a variable.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable that's set, along with its value.
struct Variable {
    name: &'static str,
    value: String,
}

/// Returns where to send traces, or `None` if neither `endpoint` nor a variable says so.
pub(super) fn from_environment(endpoint: Option<&OtlpEndpoint>) -> Result<Option<Traces>, Usage> {
    read(endpoint, &|name| {
        let value = std::env::var_os(name)?;
        Some(value.to_string_lossy().into_owned())
    })
}

fn read(endpoint: Option<&OtlpEndpoint>, lookup: Lookup<'_>) -> Result<Option<Traces>, Usage> {
    let first = |names: &[&'static str]| Variable::first(names, lookup);
    let Some(endpoint) = resolve_endpoint(endpoint, lookup)? else {
        return Ok(None);
    };
    let mut traces = Traces::new(endpoint);
    if let Some(headers) = first(&[
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ]) {
        traces.headers = headers.headers()?;
    }
    if let Some(timeout) = first(&[
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ]) {
        traces.timeout = timeout.milliseconds()?;
    }
    if let Some(timeout) = first(&["OTEL_BSP_EXPORT_TIMEOUT"]) {
        traces.timeout = traces.timeout.min(timeout.milliseconds()?);
    }
    if let Some(attributes) = first(&["OTEL_RESOURCE_ATTRIBUTES"]) {
        traces.resource.extend(attributes.attributes()?);
    }
    if let Some(name) = first(&["OTEL_SERVICE_NAME"]) {
        traces
            .resource
            .insert("service.name".to_owned(), name.value);
    }
    let argument = first(&["OTEL_TRACES_SAMPLER_ARG"]);
    match (first(&["OTEL_TRACES_SAMPLER"]), argument) {
        (Some(sampler), argument) => traces.sampler = sampler.sampler(argument.as_ref())?,
        // OpenTelemetry ignores it, and traces all calls.
        (None, Some(argument)) => {
            return Err(argument.expected(
                "expected OTEL_TRACES_SAMPLER=traceidratio or parentbased_traceidratio as well",
            ));
        }
        (None, None) => {}
    }
    if let Some(size) = first(&["OTEL_BSP_MAX_QUEUE_SIZE"]) {
        traces.max_queue_size = size.count(1_000_000)?;
    }
    traces.max_export_batch_size = traces.max_export_batch_size.min(traces.max_queue_size);
    if let Some(size) = first(&["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]) {
        traces.max_export_batch_size = size.count(traces.max_queue_size)?;
    }
    if let Some(delay) = first(&["OTEL_BSP_SCHEDULE_DELAY"]) {
        traces.schedule_delay = delay.milliseconds()?;
    }
    for names in [
        [
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ],
        [
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ],
        [
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ],
        [
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        ],
    ] {
        if let Some(variable) = first(&names) {
            variable.check_only_choice()?;
        }
    }
    Ok(Some(traces))
}

/// Returns the collector's URL. The flag overrides the variables of OpenTelemetry, except
/// for those that turn everything off.
fn resolve_endpoint(
    flag: Option<&OtlpEndpoint>,
    lookup: Lookup<'_>,
) -> Result<Option<OtlpEndpoint>, Usage> {
    if let Some(disabled) = Variable::first(&["OTEL_SDK_DISABLED"], lookup)
        && disabled.is_true()?
    {
        return Ok(None);
    }
    let variable = Variable::first(
        &[
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ],
        lookup,
    );
    let endpoint = match (flag, variable) {
        (Some(flag), _) => flag.clone(),
        (None, Some(variable)) => {
            let parsed = variable.value.parse();
            parsed.map_err(|invalid| variable.expected(invalid))?
        }
        (None, None) => return Ok(None),
    };
    match Variable::first(&["OTEL_TRACES_EXPORTER"], lookup) {
        Some(exporter) if exporter.value == "none" => Ok(None),
        Some(exporter) if exporter.value != "otlp" => {
            Err(exporter.expected("expected otlp or none"))
        }
        _ => Ok(Some(endpoint)),
    }
}

impl Variable {
    /// Returns the first of these variables that's set. As OpenTelemetry has it, an empty one
    /// isn't.
    fn first(names: &[&'static str], lookup: Lookup<'_>) -> Option<Self> {
        names.iter().find_map(|name| {
            let value = lookup(name)?.trim().to_owned();
            (!value.is_empty()).then_some(Self { name, value })
        })
    }

    /// Creates the error for a value that's not accepted.
    fn expected(&self, expected: impl std::fmt::Display) -> Usage {
        let value = without_secrets(&self.value);
        Usage::new(format_args!("{}: {expected}, got \"{value}\"", self.name))
    }

    fn is_true(&self) -> Result<bool, Usage> {
        match self.value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.expected("expected true or false")),
        }
    }

    fn milliseconds(&self) -> Result<Duration, Usage> {
        /// One day, which is as good as forever.
        const MOST: u64 = 86_400_000;

        let milliseconds = self.value.parse().ok();
        let accepted = milliseconds.filter(|value| (1..=MOST).contains(value));
        accepted.map(Duration::from_millis).ok_or_else(|| {
            self.expected(format_args!(
                "expected a whole number of milliseconds from 1 to {MOST}"
            ))
        })
    }

    fn count(&self, most: u32) -> Result<u32, Usage> {
        let count = self.value.parse().ok();
        count
            .filter(|count| (1..=most).contains(count))
            .ok_or_else(|| self.expected(format_args!("expected a whole number from 1 to {most}")))
    }

    fn sampler(&self, argument: Option<&Self>) -> Result<Sampler, Usage> {
        let with_ratio = |sampler: fn(f64) -> Result<Sampler, InvalidRatio>| {
            // Without an argument, it's 1. That's what the specification says.
            let Some(argument) = argument else {
                return sampler(1.0);
            };
            sampler(argument.value.parse().unwrap_or(f64::NAN))
        };
        let sampler = match self.value.as_str() {
            "always_on" => Sampler::ratio(1.0),
            "always_off" => Sampler::ratio(0.0),
            "parentbased_always_on" => Sampler::parent_based(1.0),
            "parentbased_always_off" => Sampler::parent_based(0.0),
            "traceidratio" => with_ratio(Sampler::ratio),
            "parentbased_traceidratio" => with_ratio(Sampler::parent_based),
            _ => {
                return Err(self.expected(
                    "expected always_on, always_off, traceidratio, parentbased_always_on, \
                     parentbased_always_off or parentbased_traceidratio",
                ));
            }
        };
        sampler.map_err(|invalid| argument.unwrap_or(self).expected(invalid))
    }

    /// Parses `name=value,name=value`, with percent-encoded values.
    fn attributes(&self) -> Result<BTreeMap<String, String>, Usage> {
        // Don't show the values: they may be credentials.
        let invalid = || {
            Usage::new(format_args!(
                "{}: expected a list such as name=value,name=value, with percent-encoded values",
                self.name
            ))
        };
        let items = self.value.split(',').filter(|item| !item.trim().is_empty());
        let parsed = items.map(|item| {
            let (name, value) = item.split_once('=')?;
            let name = Some(name.trim()).filter(|name| !name.is_empty())?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.to_owned(), value.into_owned()))
        });
        parsed.collect::<Option<_>>().ok_or_else(invalid)
    }

    fn headers(&self) -> Result<HeaderMap, Usage> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.attributes()? {
            let line = HeaderName::try_from(&name)
                .ok()
                .zip(HeaderValue::try_from(value).ok());
            let Some((name, mut value)) = line else {
                return Err(Usage::new(format_args!(
                    "{}: expected names and values that HTTP headers may have, got the name \"{name}\"",
                    self.name
                )));
            };
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// Checks a variable of which we only support one value.
    fn check_only_choice(&self) -> Result<(), Usage> {
        let accepted = match self.name {
            name if name.ends_with("_PROTOCOL") => "grpc",
            name if name.ends_with("_COMPRESSION") => "none",
            _ => {
                return Err(
                    self.expected("expected nothing; SSL_CERT_FILE names root certificates")
                );
            }
        };
        if self.value == accepted {
            return Ok(());
        }
        Err(self.expected(format_args!("expected {accepted}")))
    }
}
