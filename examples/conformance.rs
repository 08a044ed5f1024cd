//! Runs the jobs of the conformance suite with the Rust client.
//!
//! `make conformance` feeds it. `conformance/README.md` describes jobs and answers.

#![allow(clippy::print_stdout)]

use std::{
    fmt::Write,
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, prelude::BASE64_STANDARD};
use fetchd::client::{Builder, Client, Error, FetchStats, Outcome, Request, Response};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in io::stdin().lines() {
        let job: Value = serde_json::from_str(&line?)?;
        println!("{}", run(&job).await);
    }
    Ok(())
}

/// Runs a job, and returns its answer.
async fn run(job: &Value) -> Value {
    let mut answer = json!({ "results": [], "order": [], "cancelled_at": null, "failure": null });
    let filled = match connect(job).await {
        Ok(client) => match job["mode"].as_str() {
            Some("stream") => stream(&client, job, &mut answer).await,
            _ => fetch(&client, job, &mut answer).await,
        },
        // `connect` waits for an answer. The other clients connect with their first list.
        Err(error @ Error::ServiceLost { .. }) => {
            let count = requests(job).len();
            let failed = (0..count).map(|index| result_of(index, None, Some(&error), None));
            answer["results"] = failed.collect();
            Ok(())
        }
        Err(error) => Err(error),
    };
    if let Err(error) = filled {
        answer["failure"] = error_of(&error);
    }
    answer
}

async fn connect(job: &Value) -> Result<Client, Error> {
    let endpoints = job["endpoints"].as_array().into_iter().flatten();
    let urls: Vec<_> = endpoints.filter_map(Value::as_str).map(url_of).collect();
    let tls = &job["tls"];
    let mut builder = Client::builder();
    if let Some(ca) = tls["ca"].as_str() {
        builder = builder.tls_ca_file(ca);
    }
    if let (Some(cert), Some(key)) = (tls["cert"].as_str(), tls["key"].as_str()) {
        builder = builder.tls_identity_files(cert, key);
    }
    if let Some(token) = job["token"].as_str() {
        builder = builder.token(token);
    }
    if let Some(path) = job["token_file"].as_str() {
        builder = builder.token_file(path);
    }
    if let Some(time) = seconds(&job["give_up_after"]) {
        builder = builder.give_up_after(time);
    }
    if let Some(time) = seconds(&job["silence_timeout"]) {
        builder = builder.silence_timeout(time);
    }
    with_options(builder, &job["options"])
        .connect(urls.join(","))
        .await
}

fn url_of(endpoint: &str) -> String {
    if endpoint.contains("://") {
        endpoint.to_owned()
    } else {
        format!("http://{endpoint}")
    }
}

/// Sets the options of all requests that this client has settings for.
fn with_options(mut builder: Builder, options: &Value) -> Builder {
    if let Some(timeout) = seconds(&options["timeout"]) {
        builder = builder.timeout(timeout);
    }
    if let Some(timeout) = seconds(&options["idle_timeout"]) {
        builder = builder.read_timeout(timeout);
    }
    if let Some(timeout) = seconds(&options["connect_timeout"]) {
        builder = builder.connect_timeout(timeout);
    }
    builder
}

async fn fetch(client: &Client, job: &Value, answer: &mut Value) -> Result<(), Error> {
    let mut list = client.fetch(requests(job));
    if let Some(concurrency) = job["concurrency"].as_u64() {
        list = list.concurrency(concurrency.try_into().unwrap_or(u32::MAX));
    }
    if let Some(timeout) = seconds(&job["timeout"]) {
        list = list.timeout(timeout);
    }
    let mut outcomes = list.outcomes();
    let stop_after = job["stop_after"].as_u64().unwrap_or(u64::MAX);
    let mut results = Vec::new();
    let read = async {
        while let Some(outcome) = outcomes.next().await {
            results.push(outcome);
            if results.len() as u64 == stop_after {
                return true;
            }
        }
        false
    };
    let is_cancelled = match seconds(&job["cancel_after"]) {
        Some(time) => time::timeout(time, read).await.unwrap_or(true),
        None => read.await,
    };
    if is_cancelled {
        answer["cancelled_at"] = now();
    }
    drop(outcomes);
    answer["order"] = results.iter().map(|outcome| outcome.index).collect();
    answer["results"] = results.iter().map(outcome_of).collect();
    if job["text"] == true {
        for (result, outcome) in results_of(answer).zip(results) {
            if let Ok(response) = outcome.into_result() {
                result["text"] = response.text().await.unwrap_or_default().into();
            }
        }
    }
    Ok(())
}

fn results_of(answer: &mut Value) -> impl Iterator<Item = &mut Value> {
    let results = answer["results"].as_array_mut();
    results.into_iter().flatten()
}

async fn stream(client: &Client, job: &Value, answer: &mut Value) -> Result<(), Error> {
    let stop_after = job["stop_after"].as_u64().unwrap_or(u64::MAX);
    let Some(request) = requests(job).into_iter().next() else {
        return Ok(());
    };
    let response = match client.execute(request).await {
        Ok(response) => response,
        Err(error) => {
            answer["results"] = json!([result_of(0, None, Some(&error), None)]);
            return Ok(());
        }
    };
    let (status, url) = (response.status().as_u16(), response.url().to_string());
    let version = format!("{:?}", response.version());
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| [name.to_string(), latin1(value.as_bytes())])
        .collect();
    let (mut chunks, mut largest, mut size, mut error) = (0_u64, 0, 0, Value::Null);
    let mut hash = Context::new(&SHA256);
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => {
                chunks += 1;
                largest = largest.max(chunk.len());
                size += chunk.len();
                hash.update(&chunk);
            }
            Err(failure) => error = cause_of(&failure),
        }
        if chunks == stop_after {
            answer["cancelled_at"] = now();
            break;
        }
    }
    drop(body);
    answer["chunks"] = chunks.into();
    answer["largest_chunk"] = largest.into();
    answer["results"] = json!([{
        "index": 0, "status": status, "headers": headers, "size": size, "sha256": hex(hash),
        "url": url, "version": version, "error": error,
    }]);
    Ok(())
}

/// Returns the client's error among the causes of an error of reqwest.
fn cause_of(error: &(dyn std::error::Error + 'static)) -> Value {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<Error>() {
            return error_of(error);
        }
        cause = error.source();
    }
    json!({ "name": "UNKNOWN", "message": error.to_string() })
}

fn requests(job: &Value) -> Vec<Request> {
    let requests = job["requests"].as_array().into_iter().flatten();
    requests.map(request_of).collect()
}

fn request_of(data: &Value) -> Request {
    let method = data["method"].as_str().unwrap_or("GET");
    let mut request = Request::new(method, data["url"].as_str().unwrap_or_default());
    for line in data["headers"].as_array().into_iter().flatten() {
        let name = line[0].as_str().unwrap_or_default();
        let value = line[1].as_str().unwrap_or_default();
        // Each character stands for a byte.
        let value: Vec<_> = value.chars().filter_map(|c| u8::try_from(c).ok()).collect();
        request = request.header(name, value);
    }
    if let Some(body) = data["body_base64"].as_str() {
        request = request.body(BASE64_STANDARD.decode(body).unwrap_or_default());
    }
    if let Some(timeout) = seconds(&data["timeout"]) {
        request = request.timeout(timeout);
    }
    if let Some(timeout) = seconds(&data["idle_timeout"]) {
        request = request.idle_timeout(timeout);
    }
    if let Some(timeout) = seconds(&data["connect_timeout"]) {
        request = request.connect_timeout(timeout);
    }
    let count = |name: &str| {
        data[name]
            .as_u64()
            .map(|count| count.try_into().unwrap_or(u32::MAX))
    };
    if let Some(max) = count("max_redirects") {
        request = request.max_redirects(max);
    }
    if let Some(max) = count("max_attempts") {
        request = request.max_attempts(max);
    }
    if let Some(max) = data["max_body_bytes"].as_u64() {
        request = request.max_body_bytes(max);
    }
    if data["truncate"] == true {
        request.truncate_body()
    } else {
        request
    }
}

fn outcome_of(outcome: &Outcome) -> Value {
    let (response, error) = (outcome.response.as_ref(), outcome.error.as_ref());
    result_of(outcome.index, response, error, Some(&outcome.stats))
}

fn result_of(
    index: usize,
    response: Option<&Response>,
    error: Option<&Error>,
    stats: Option<&FetchStats>,
) -> Value {
    let headers = response
        .map(|response| response.headers.iter())
        .into_iter()
        .flatten();
    let headers = headers.map(|(name, value)| [name.to_string(), latin1(value.as_bytes())]);
    let body = response
        .map(|response| &response.body[..])
        .unwrap_or_default();
    let mut hash = Context::new(&SHA256);
    hash.update(body);
    json!({
        "index": index,
        "status": response.map(|response| response.status.as_u16()),
        "headers": headers.collect::<Vec<_>>(),
        "size": body.len(),
        "sha256": hex(hash),
        "url": response.map(|response| response.url.to_string()),
        "version": response.map(|response| format!("{:?}", response.version)),
        "attempts": stats.map(|stats| stats.attempts),
        "redirects": stats.map(|stats| stats.redirects),
        "truncated": stats.map(|stats| stats.truncated),
        "error": error.map(error_of),
    })
}

fn error_of(error: &Error) -> Value {
    json!({ "name": error.name(), "message": error.to_string(), "retryable": error.is_retryable() })
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn hex(hash: Context) -> String {
    let mut text = String::new();
    for byte in hash.finish().as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

fn now() -> Value {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs_f64().into()
}
