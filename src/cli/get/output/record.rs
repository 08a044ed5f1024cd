//! The JSON object we print for a result.

use std::{collections::BTreeMap, ops::Not, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine};
use fetchd::client::{Error, Outcome, Response};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::cli::get::{header_values::HeaderValues, reason};

/// A printed result. Fields are serialized in this order.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    index: usize,
    url: &'a str,
    #[serde(flatten)]
    response: Option<ResponseFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(skip_serializing_if = "Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorFields>,
    attempts: u32,
    queued_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ms: Option<f64>,
}

#[derive(Serialize)]
struct ResponseFields<'a> {
    status: u16,
    headers: BTreeMap<&'a str, HeaderValues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Serialize)]
struct ErrorFields {
    reason: &'static str,
    message: String,
    retryable: bool,
}

impl<'a> Record<'a> {
    /// Creates the record for an outcome of `url`.
    pub(super) fn new(url: &'a str, outcome: &'a Outcome, with_body: bool) -> Self {
        let response = outcome.response.as_ref();
        let stats = &outcome.stats;
        Self {
            index: outcome.index,
            url,
            response: response.map(|response| ResponseFields::new(response, with_body)),
            file: None,
            truncated: stats.truncated,
            error: outcome.error.as_ref().map(ErrorFields::new),
            attempts: stats.attempts,
            queued_ms: milliseconds(stats.queued),
            first_byte_ms: stats.first_byte.map(milliseconds),
            total_ms: stats.total.map(milliseconds),
        }
    }
}

impl<'a> ResponseFields<'a> {
    fn new(response: &'a Response, with_body: bool) -> Self {
        let mut fields = Self {
            status: response.status.as_u16(),
            headers: headers(&response.headers),
            body: None,
            body_base64: None,
        };
        if with_body {
            match std::str::from_utf8(&response.body) {
                Ok(text) => fields.body = Some(text),
                Err(_) => fields.body_base64 = Some(BASE64_STANDARD.encode(&response.body)),
            }
        }
        fields
    }
}

impl ErrorFields {
    fn new(error: &Error) -> Self {
        Self {
            reason: reason(error),
            message: error.to_string(),
            retryable: error.is_retryable(),
        }
    }
}

fn headers(headers: &HeaderMap) -> BTreeMap<&str, HeaderValues> {
    headers
        .keys()
        .map(|name| {
            let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
            (name.as_str(), values.into())
        })
        .collect()
}

/// Decodes a header value as ISO 8859-1. HTTP doesn't promise UTF-8, and this charset
/// has a character for every byte, so it can't fail.
fn text(value: &HeaderValue) -> String {
    value.as_bytes().iter().copied().map(char::from).collect()
}

/// Converts to milliseconds, rounded to three decimals. Microseconds are precise enough,
/// and they keep the output short.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
