//! An entry of an HTTP archive: one request and its response.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use fetchd::client::{Error, Outcome, Request, Response};
use http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use url::Url;

use crate::cli::{
    get::{final_url::final_url, header_values, pending, phases::Phases},
    redact::without_credentials,
};

/// An entry. Names are those of the format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    started_date_time: String,
    time: f64,
    request: RequestFields<'a>,
    response: ResponseFields<'a>,
    cache: Empty,
    timings: Timings,
    #[serde(rename = "_resourceType")]
    resource_type: &'static str,
    #[serde(rename = "_fetchd")]
    own: OwnFields<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestFields<'a> {
    method: &'a str,
    url: String,
    http_version: &'static str,
    cookies: [Empty; 0],
    headers: Vec<Header<'a>>,
    query_string: Vec<Parameter>,
    headers_size: i64,
    body_size: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseFields<'a> {
    status: u16,
    status_text: &'a str,
    http_version: String,
    cookies: [Empty; 0],
    headers: Vec<Header<'a>>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i64,
    body_size: i64,
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

#[derive(Serialize)]
struct Header<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    size: usize,
    mime_type: String,
}

/// Durations in milliseconds. -1 if a phase didn't happen.
#[derive(Serialize)]
struct Timings {
    blocked: f64,
    dns: f64,
    /// Includes `ssl`.
    connect: f64,
    ssl: f64,
    send: f64,
    wait: f64,
    receive: f64,
    /// The part of `blocked` that's waiting for a slot. Chromium's name.
    #[serde(rename = "_blocked_queueing")]
    queueing: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

/// Fields that the format has no name for.
#[derive(Serialize)]
struct OwnFields<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    /// Only if it isn't a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    attempts: u32,
    redirects: u32,
    connection_reused: bool,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize)]
struct Empty {}

/// The size of something if we don't know it.
const UNKNOWN: i64 = -1;

/// Replaces an invalid URL. The format only allows valid ones.
const INVALID_URL: &str = "about:invalid";

/// Replaces the value of a header that may be secret.
const REDACTED: &str = "[redacted]";

/// Request headers whose values can't be secret. All others may be, such as `X-Api-Key`.
const HARMLESS: [&str; 17] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-type",
    "from",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "te",
    "user-agent",
];

/// Response headers whose values are secret.
const SECRET: [&str; 3] = ["authentication-info", "set-cookie", "set-cookie2"];

impl<'a> Entry<'a> {
    /// Creates the entry for the outcome of `pending`, in a list that began at `began`.
    pub(super) fn new(
        pending: &'a pending::Entry,
        outcome: &'a Outcome,
        began: SystemTime,
    ) -> Self {
        let phases = Phases::of(&pending.url, outcome, began);
        let duration = Duration::from_micros(phases.sum());
        let start = outcome.ended.checked_sub(duration).unwrap_or(began);
        Self {
            started_date_time: humantime::format_rfc3339_micros(start).to_string(),
            time: milliseconds(phases.sum()),
            request: RequestFields::new(&pending.url, pending.request.as_ref()),
            response: ResponseFields::new(outcome),
            cache: Empty {},
            timings: Timings::new(&phases),
            resource_type: "fetch",
            own: OwnFields::new(pending, outcome),
        }
    }
}

impl<'a> RequestFields<'a> {
    fn new(url: &str, request: Option<&'a Request>) -> Self {
        let url = Url::parse(url).ok();
        let query = url.iter().flat_map(Url::query_pairs);
        Self {
            method: request.map_or("", Request::method),
            url: url.as_ref().map_or_else(|| INVALID_URL.to_owned(), plain),
            http_version: "HTTP/1.1",
            cookies: [],
            headers: request.into_iter().flat_map(sent_headers).collect(),
            query_string: query
                .map(|(name, value)| Parameter {
                    name: name.into_owned(),
                    value: value.into_owned(),
                })
                .collect(),
            headers_size: UNKNOWN,
            body_size: request.map_or(0, |request| request.body_bytes().len() as u64),
        }
    }
}

impl<'a> ResponseFields<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let response = outcome.response.as_ref();
        let header = |name| response.map_or_else(String::new, |response| first(response, name));
        Self {
            status: response.map_or(0, |response| response.status.as_u16()),
            status_text: response
                .and_then(|response| response.status.canonical_reason())
                .unwrap_or_default(),
            http_version: response
                .map(|response| format!("{:?}", response.version))
                .unwrap_or_default(),
            cookies: [],
            headers: response
                .map(|response| received_headers(&response.headers))
                .unwrap_or_default(),
            content: Content {
                size: response.map_or(0, |response| response.body.len()),
                mime_type: header("content-type"),
            },
            redirect_url: response
                .filter(|response| response.status.is_redirection())
                .filter(|response| response.headers.contains_key("location"))
                .and_then(|response| response.url.join(&first(response, "location")).ok())
                .map_or_else(String::new, |url| plain(&url)),
            headers_size: UNKNOWN,
            // The service decodes bodies, so we don't know how long they were.
            body_size: UNKNOWN,
            error: outcome.error.as_ref().map(chromium_name),
        }
    }
}

impl Timings {
    fn new(phases: &Phases) -> Self {
        let Phases {
            queued,
            earlier,
            dns,
            connect,
            tls,
            waiting,
            body,
        } = *phases;
        let or_none = |phase: Option<u64>| phase.map_or(-1.0, milliseconds);
        let is_connecting = connect.is_some() || tls.is_some();
        let connecting = connect.unwrap_or_default() + tls.unwrap_or_default();
        let comment = earlier.map(|earlier| {
            let (queued, earlier) = (milliseconds(queued), milliseconds(earlier));
            format!(
                "blocked: {queued} ms in a queue, {earlier} ms of earlier attempts and redirects"
            )
        });
        Self {
            blocked: milliseconds(queued + earlier.unwrap_or_default()),
            dns: or_none(dns),
            connect: or_none(is_connecting.then_some(connecting)),
            ssl: or_none(tls),
            send: 0.0,
            wait: milliseconds(waiting.unwrap_or_default()),
            receive: milliseconds(body.unwrap_or_default()),
            queueing: milliseconds(queued),
            comment,
        }
    }
}

impl<'a> OwnFields<'a> {
    fn new(pending: &'a pending::Entry, outcome: &'a Outcome) -> Self {
        let is_invalid = Url::parse(&pending.url).is_err();
        let stats = &outcome.stats;
        Self {
            index: outcome.index,
            id: pending.id.as_deref(),
            url: is_invalid.then(|| without_credentials(&pending.url)),
            attempts: stats.attempts,
            redirects: stats.redirects,
            connection_reused: stats.connection_reused,
            truncated: stats.truncated,
            final_url: final_url(&pending.url, outcome),
            reason: outcome.error.as_ref().map(Error::name),
            message: outcome.error.as_ref().map(Error::to_string),
        }
    }
}

/// The headers that we sent to the service. It adds its own, such as `host`.
fn sent_headers(request: &Request) -> impl Iterator<Item = Header<'_>> {
    request.headers().map(|(name, value)| {
        let is_harmless = HARMLESS.iter().any(|own| own.eq_ignore_ascii_case(name));
        Header {
            name: name.into(),
            value: if is_harmless {
                header_values::text(value).into()
            } else {
                REDACTED.into()
            },
        }
    })
}

fn received_headers(headers: &HeaderMap) -> Vec<Header<'_>> {
    let lines = headers.iter().map(|(name, value)| {
        let value = match name.as_str() {
            name if SECRET.contains(&name) => REDACTED.into(),
            "location" | "content-location" => {
                without_credentials(&header_values::text(value.as_bytes()))
                    .into_owned()
                    .into()
            }
            _ => header_values::text(value.as_bytes()).into(),
        };
        Header {
            name: name.as_str().into(),
            value,
        }
    });
    lines.collect()
}

/// Returns a URL without credentials and fragment.
fn plain(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    without_credentials(url.as_str()).into_owned()
}

/// Returns the first value of a header, or an empty string.
fn first(response: &Response, name: &str) -> String {
    let value = response.headers.get(name);
    value.map_or_else(String::new, |value| header_values::text(value.as_bytes()))
}

/// Returns Chromium's name for an error, which its developer tools show.
fn chromium_name(error: &Error) -> &'static str {
    match error.name() {
        "BLOCKED" => "net::ERR_BLOCKED_BY_ADMINISTRATOR",
        "DNS" => "net::ERR_NAME_NOT_RESOLVED",
        "CONNECT" => "net::ERR_CONNECTION_FAILED",
        "TLS" => "net::ERR_SSL_PROTOCOL_ERROR",
        "TIMEOUT" | "BATCH_DEADLINE" => "net::ERR_TIMED_OUT",
        "TOO_MANY_REDIRECTS" => "net::ERR_TOO_MANY_REDIRECTS",
        "PROTOCOL" => "net::ERR_INVALID_HTTP_RESPONSE",
        "DISCONNECTED" => "net::ERR_CONNECTION_CLOSED",
        "DECODE" => "net::ERR_CONTENT_DECODING_FAILED",
        "INVALID_REQUEST" => "net::ERR_INVALID_ARGUMENT",
        _ => "net::ERR_FAILED",
    }
}

/// Converts microseconds to milliseconds. Exact for anything shorter than 285 years.
#[allow(clippy::cast_precision_loss)]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1e3
}
