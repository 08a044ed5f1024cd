//! The results: one JSON object a line on standard output, bodies in files
//! where that is asked for.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use base64::prelude::{BASE64_STANDARD, Engine};
use fetchd::client::{Outcome, Response};
use http::HeaderMap;
use serde::Serialize;

use super::{Args, reason};

/// Where results go.
pub(super) struct Output {
    directory: Option<PathBuf>,
    with_body: bool,
}

/// A result as it is printed. Its fields come in this order.
#[derive(Serialize)]
struct Line<'a> {
    index: usize,
    url: &'a str,
    #[serde(flatten)]
    response: Option<Answer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    attempts: u32,
    queued_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ms: Option<f64>,
}

#[derive(Serialize)]
struct Answer<'a> {
    status: u16,
    headers: BTreeMap<&'a str, Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The value of a header line, or those of several lines of the same name.
#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

#[derive(Serialize)]
struct Failure {
    reason: &'static str,
    message: String,
    retryable: bool,
}

impl Output {
    /// Where `args` say.
    pub(super) fn create(args: &Args) -> anyhow::Result<Self> {
        if let Some(directory) = &args.output {
            fs::create_dir_all(directory)
                .with_context(|| format!("making the directory {}", directory.display()))?;
        }
        Ok(Self {
            directory: args.output.clone(),
            with_body: !args.no_body && args.output.is_none(),
        })
    }

    /// Prints the outcome of the request for `url`, whose index is its position
    /// in the whole list.
    pub(super) fn print(&self, url: &str, outcome: &Outcome) -> anyhow::Result<()> {
        let response = outcome.response.as_ref();
        let file = match (&self.directory, response) {
            (Some(directory), Some(response)) => Some(saved(directory, outcome.index, response)?),
            _ => None,
        };
        let stats = &outcome.stats;
        let line = Line {
            index: outcome.index,
            url,
            response: response.map(|response| Answer::new(response, self.with_body)),
            file,
            truncated: stats.truncated,
            error: outcome.error.as_ref().map(|error| Failure {
                reason: reason(error),
                message: error.to_string(),
                retryable: error.is_retryable(),
            }),
            attempts: stats.attempts,
            queued_ms: milliseconds(stats.queued),
            first_byte_ms: stats.first_byte.map(milliseconds),
            total_ms: stats.total.map(milliseconds),
        };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()?;
        Ok(())
    }
}

impl<'a> Answer<'a> {
    fn new(response: &'a Response, with_body: bool) -> Self {
        let text = std::str::from_utf8(&response.body).ok();
        let is_binary = with_body && text.is_none();
        Self {
            status: response.status.as_u16(),
            headers: headers(&response.headers),
            body: text.filter(|_| with_body),
            body_base64: is_binary.then(|| BASE64_STANDARD.encode(&response.body)),
        }
    }
}

fn headers(headers: &HeaderMap) -> BTreeMap<&str, Values> {
    let names = headers.keys().map(|name| {
        // HTTP promises bytes: read as ISO 8859-1, each has its character.
        let text =
            |value: &http::HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
        let mut values: Vec<String> = headers.get_all(name).iter().map(text).collect();
        let values = match (values.pop(), values.is_empty()) {
            (Some(only), true) => Values::One(only),
            (last, _) => {
                values.extend(last);
                Values::Several(values)
            }
        };
        (name.as_str(), values)
    });
    names.collect()
}

fn saved(directory: &Path, index: usize, response: &Response) -> anyhow::Result<String> {
    let path = directory.join(index.to_string());
    fs::write(&path, &response.body).with_context(|| format!("writing {}", path.display()))?;
    Ok(path.display().to_string())
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are enough, and read better.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
