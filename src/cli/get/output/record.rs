//! The JSON object we print for a result.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine};
use fetchd::client::{Error, FetchStats, Outcome};
use http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::{
    get::{
        final_url::final_url,
        header_values::{HeaderValues, text},
    },
    redact::without_credentials,
};

/// A printed result. Fields are serialized in this order.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'a str, HeaderValues>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_url: Option<&'a str>,
    redirects: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_version: Option<String>,
    body_bytes: usize,
    truncated: bool,
    attempts: u32,
    timing: Timing,
}

/// Where a body goes.
pub(super) enum Body {
    /// Into the JSON object.
    Inline,
    /// It's in this file.
    File(String),
    Omitted,
}

#[derive(Serialize)]
struct ErrorFields {
    reason: &'static str,
    message: String,
    retryable: bool,
}

/// Durations in milliseconds. A phase that didn't happen is left out.
#[derive(Serialize)]
struct Timing {
    queued: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<f64>,
    connection_reused: bool,
}

impl<'a> Record<'a> {
    /// Creates the record for an outcome of `url`.
    pub(super) fn new(
        id: Option<&'a RawValue>,
        url: &'a str,
        outcome: &'a Outcome,
        body: Body,
    ) -> Self {
        let response = outcome.response.as_ref();
        let stats = &outcome.stats;
        let mut record = Self {
            index: outcome.index,
            id,
            url: without_credentials(url),
            status: response.map(|response| response.status.as_u16()),
            headers: response.map(|response| headers(&response.headers)),
            body: None,
            body_base64: None,
            file: None,
            error: outcome.error.as_ref().map(ErrorFields::new),
            final_url: final_url(url, outcome),
            redirects: stats.redirects,
            http_version: response.map(|response| format!("{:?}", response.version)),
            body_bytes: response.map_or(0, |response| response.body.len()),
            truncated: stats.truncated,
            attempts: stats.attempts,
            timing: Timing::new(stats),
        };
        match (body, response) {
            (Body::Inline, Some(response)) => match std::str::from_utf8(&response.body) {
                Ok(text) => record.body = Some(text),
                Err(_) => record.body_base64 = Some(BASE64_STANDARD.encode(&response.body)),
            },
            (Body::File(path), _) => record.file = Some(path),
            (Body::Inline | Body::Omitted, _) => {}
        }
        record
    }
}

impl ErrorFields {
    fn new(error: &Error) -> Self {
        Self {
            reason: error.name(),
            message: error.to_string(),
            retryable: error.is_retryable(),
        }
    }
}

impl Timing {
    fn new(stats: &FetchStats) -> Self {
        Self {
            queued: milliseconds(stats.queued),
            earlier: stats.earlier.map(milliseconds),
            dns: stats.dns.map(milliseconds),
            connect: stats.connect.map(milliseconds),
            tls: stats.tls.map(milliseconds),
            first_byte: stats.first_byte.map(milliseconds),
            total: stats.total.map(milliseconds),
            connection_reused: stats.connection_reused,
        }
    }
}

fn headers(headers: &HeaderMap) -> BTreeMap<&str, HeaderValues> {
    headers
        .keys()
        .map(|name| {
            let values: Vec<_> = headers
                .get_all(name)
                .iter()
                .map(|value| text(value.as_bytes()))
                .collect();
            (name.as_str(), values.into())
        })
        .collect()
}

/// Converts to milliseconds, rounded to three decimals. Microseconds are precise enough,
/// and they keep the output short.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
