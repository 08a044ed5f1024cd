//! The admin page and its data.

mod access;
mod hosts;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use fetchd::{
    config::Config,
    proto::{FetchBatchRequest, FetchBatchResponse},
    server::Server,
};
use futures_util::{FutureExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    time,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

use crate::support::{
    Origin, Process,
    caller::{client, connect, loopback},
    eventually, gated_origin, http2, metered_origin,
    metrics::metrics,
    reply, requests, within_timeout,
};

struct Response {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request to the admin listener, for this `host`.
async fn send(admin: &str, method: &str, path: &str, host: &str) -> Response {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within_timeout(stream.read_to_string(&mut answer))
        .await
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Response {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

async fn status(admin: &str) -> Value {
    let response = send(admin, "GET", "/status.json", admin).await;
    assert_eq!(response.status, 200);
    serde_json::from_str(&response.body).unwrap()
}

/// Starts a batch from the address `from`, and waits until it's running.
async fn start(
    service: &Process,
    from: IpAddr,
    urls: Vec<String>,
    concurrency: u32,
) -> Streaming<FetchBatchResponse> {
    let batch = FetchBatchRequest {
        requests: requests(urls),
        concurrency,
        ..Default::default()
    };
    let mut client = client(&service.url, from).await;
    client.fetch_batch(batch).await.unwrap().into_inner()
}

async fn finish(mut batch: Streaming<FetchBatchResponse>) {
    while within_timeout(batch.message()).await.unwrap().is_some() {}
}

/// Waits until the value at `pointer` is `expected`.
async fn becomes(admin: &str, pointer: &str, expected: Value) {
    let mut last = Value::Null;
    let becoming = eventually(async || {
        last = status(admin).await;
        last.pointer(pointer) == Some(&expected)
    });
    let became = time::timeout(Duration::from_secs(20), becoming).await;
    assert!(became.is_ok(), "{pointer} isn't {expected} in {last:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_listed_while_it_runs() {
    let (origin, meter) = metered_origin().await;
    let service = Process::serve(&[]);
    let admin = &service.admin;
    assert_eq!(
        status(admin).await["batches"],
        json!({"total": 0, "oldest": []})
    );
    let urls = vec![origin.url("?secret=1"); 5];
    let batch = start(&service, loopback(7), urls, 3).await;
    becomes(admin, "/batches/oldest/0/in_flight", json!(3)).await;
    let first = status(admin).await;
    let listed = &first["batches"]["oldest"][0];
    let id = listed["id"].as_str().unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(listed["caller"], "127.0.0.7");
    assert_eq!((&listed["size"], &listed["done"]), (&json!(5), &json!(0)));
    assert_eq!(first["load"]["batches"], 1);
    assert_eq!(first["load"]["connections"], 1);
    assert!(first["load"]["queued_bytes"].as_u64().unwrap() > 0);
    meter.add_permits(2);
    becomes(admin, "/batches/oldest/0/done", json!(2)).await;
    let second = status(admin).await;
    let again = &second["batches"]["oldest"][0];
    assert_eq!(again["id"], id);
    assert!(again["age_s"].as_f64() > listed["age_s"].as_f64());
    meter.add_permits(3);
    finish(batch).await;
    becomes(admin, "/batches/total", json!(0)).await;
    becomes(admin, "/load/queued_bytes", json!(0)).await;
    // A batch that's cancelled leaves, too.
    let batch = start(&service, loopback(7), vec![origin.url("")], 1).await;
    becomes(admin, "/batches/total", json!(1)).await;
    drop(batch);
    becomes(admin, "/batches/total", json!(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_listed_oldest_first() {
    let (origin, _gate) = gated_origin().await;
    let service = Process::serve(&[]);
    // The message of the older batch arrives last.
    let (release, released) = oneshot::channel();
    let batch = FetchBatchRequest {
        requests: requests(vec![origin.url("")]),
        ..Default::default()
    };
    let message = http2::message(&batch);
    let frame = released.map(|_| Ok(Frame::data(message)));
    let body = BodyExt::boxed(StreamBody::new(stream::once(frame)));
    let (mut calls, _connection) = connect(&service.url, loopback(1)).await;
    let _older = tokio::spawn(calls.send_request(http2::call(body)));
    let active = "fetchd_connections{side=\"caller\",state=\"active\"}";
    eventually(async || metrics(&service.admin).await[active] > 0.0).await;
    let _newer = start(&service, loopback(2), vec![origin.url("")], 1).await;
    becomes(&service.admin, "/batches/total", json!(1)).await;
    release.send(()).unwrap();
    becomes(&service.admin, "/batches/total", json!(2)).await;
    let oldest = &status(&service.admin).await["batches"]["oldest"];
    assert_eq!(oldest[0]["caller"], "127.0.0.1");
    assert_eq!(oldest[1]["caller"], "127.0.0.2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_that_holds_requests_back_is_named() {
    for (flags, concurrency, limit, queued) in [
        (&[][..], 2, "batch", 3),
        (&["--max-per-host", "1"], 5, "host", 4),
        (
            &["--max-in-flight", "4", "--max-batches", "2"],
            5,
            "process",
            2,
        ),
        (
            &["--max-in-flight", "68", "--max-batches", "4"],
            80,
            "caller",
            17,
        ),
    ] {
        let (origin, gate) = gated_origin().await;
        let service = Process::serve(flags);
        let count = if limit == "caller" { 80 } else { 5 };
        let urls = vec![origin.url(""); count];
        let batch = start(&service, loopback(1), urls, concurrency).await;
        becomes(&service.admin, "/batches/oldest/0/held_by", json!(limit)).await;
        becomes(&service.admin, "/load/queued", json!(queued)).await;
        let status = status(&service.admin).await;
        for (name, waiting) in status["queued_by_limit"].as_object().unwrap() {
            let expected = if name == limit { queued } else { 0 };
            assert_eq!(*waiting, json!(expected), "{name} beside {limit}");
        }
        gate.add_permits(Semaphore::MAX_PERMITS);
        finish(batch).await;
        becomes(&service.admin, "/load/queued", json!(0)).await;
        let waits = &self::status(&service.admin).await["history"]["waits"];
        let label = if limit == "caller" { "process" } else { limit };
        let counts = waits[label].as_array().unwrap().iter();
        let waited: u64 = counts.map(|count| count.as_u64().unwrap()).sum();
        assert!(waited > 0, "{limit}: {waits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_and_latency_are_in_the_history() {
    let origin = Origin::new(|request| async move {
        let mut reply = reply("there");
        *reply.status_mut() = request.uri().path()[1..].parse().unwrap();
        reply
    })
    .await;
    let service = Process::serve(&[]);
    let empty = status(&service.admin).await["history"].take();
    assert_eq!(empty["outcomes"], json!({}));
    assert_eq!(empty["latency"][0]["p50_s"], Value::Null);
    let urls = ["200", "204", "503", "200"].map(|status| origin.url(status));
    let denied = "http://10.0.0.1/".to_owned();
    let urls = urls.into_iter().chain([denied]).collect();
    finish(start(&service, loopback(1), urls, 5).await).await;
    let history = status(&service.admin).await["history"].take();
    for (outcome, count) in [("2xx", 3), ("5xx", 1), ("blocked", 1)] {
        let counts = history["outcomes"][outcome].as_array().unwrap();
        let sum: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(sum, count, "{outcome}");
    }
    assert!(history["overall_latency"]["p99_s"].as_f64().unwrap() > 0.0);
    let length = history["interval_s"].as_array().unwrap().len();
    for list in ["latency", "in_flight", "queued"] {
        assert_eq!(history[list].as_array().unwrap().len(), length, "{list}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_is_bounded() {
    let server = Server::new(Config::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap().to_string();
    let _serving = AbortOnDropHandle::new(tokio::spawn(server.admin().serve(listener)));
    time::sleep(Duration::from_secs(25)).await;
    let lengths = async || {
        time::resume();
        let status = status(&admin).await;
        time::pause();
        status["history"]["interval_s"].as_array().unwrap().clone()
    };
    let first = lengths().await;
    assert_eq!(
        (first.len(), &first[0], &first[1]),
        (3, &json!(10.0), &json!(10.0))
    );
    time::sleep(Duration::from_mins(20)).await;
    assert_eq!(lengths().await.len(), 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_calls_and_busy_callers_are_visible() {
    let (origin, gate) = gated_origin().await;
    let service = Process::serve(&["--max-batches", "3"]);
    let admin = &service.admin;
    let nobody = json!({"total": 0, "busiest": []});
    assert_eq!(status(admin).await["callers"], nobody);
    let mut batches = Vec::new();
    for (caller, size) in [(1, 2), (2, 4), (2, 4)] {
        let urls = vec![origin.url(""); size];
        batches.push(start(&service, loopback(caller), urls, 3).await);
    }
    becomes(admin, "/load/in_flight", json!(8)).await;
    let expected = json!({"total": 2, "busiest": [
        {"caller": "127.0.0.2", "batches": 2, "in_flight": 6, "queued": 2},
        {"caller": "127.0.0.1", "batches": 1, "in_flight": 2, "queued": 0},
    ]});
    assert_eq!(status(admin).await["callers"], expected);
    let refused = FetchBatchRequest {
        requests: requests(vec![origin.url("")]),
        ..Default::default()
    };
    let mut client = client(&service.url, loopback(3)).await;
    let refusal = client.fetch_batch(refused).await.unwrap_err();
    assert_eq!(refusal.code(), tonic::Code::ResourceExhausted);
    gate.add_permits(Semaphore::MAX_PERMITS);
    for batch in batches {
        finish(batch).await;
    }
    becomes(admin, "/callers", nobody).await;
    let calls = &status(admin).await["history"]["calls"];
    for (code, count) in [("OK", 3), ("RESOURCE_EXHAUSTED", 1)] {
        let counts = calls[code].as_array().unwrap().iter();
        let sum: u64 = counts.map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(sum, count, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_visible() {
    let (origin, gate) = gated_origin().await;
    let service = Process::serve(&[]);
    becomes(&service.admin, "/stage", json!("serving")).await;
    let batch = start(&service, loopback(1), vec![origin.url("")], 1).await;
    service.signal("TERM");
    becomes(&service.admin, "/stage", json!("draining")).await;
    let status = status(&service.admin).await;
    assert!(status["stage_s"].as_f64() < status["uptime_s"].as_f64());
    assert_eq!(status["batches"]["total"], 1);
    gate.add_permits(1);
    finish(batch).await;
    service.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_of_a_full_server_is_small() {
    let (origin, gate) = gated_origin().await;
    let service = Process::serve(&["--admin-hosts"]);
    let mut batches = Vec::new();
    for (caller, count) in [(1, 200), (2, 55), (3, 1)] {
        let urls = || vec![origin.url(""); 2];
        let batch = FetchBatchRequest {
            requests: requests(urls()),
            ..Default::default()
        };
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(client(&service.url, loopback(caller)).await);
        }
        for number in 0..count {
            let response = clients[number % 4].fetch_batch(batch.clone()).await;
            batches.push(response.unwrap().into_inner());
        }
    }
    becomes(&service.admin, "/batches/total", json!(256)).await;
    becomes(&service.admin, "/load/in_flight", json!(512)).await;
    let response = send(&service.admin, "GET", "/status.json", "localhost").await;
    let size = response.body.len();
    println!("status.json has {size} bytes with 256 running batches");
    assert!(size < 32 << 10, "{size}");
    let status: Value = serde_json::from_str(&response.body).unwrap();
    let oldest = status["batches"]["oldest"].as_array().unwrap();
    assert_eq!(oldest.len(), 100);
    assert!(oldest.iter().all(|batch| batch["caller"] == "127.0.0.1"));
    // None of this keeps probes from being answered.
    let admin: Arc<str> = service.admin.as_str().into();
    let readers = (0..20).map(|_| {
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            for _ in 0..25 {
                assert_eq!(send(&admin, "GET", "/", "localhost").await.status, 200);
                assert_eq!(
                    send(&admin, "GET", "/status.json", "localhost")
                        .await
                        .status,
                    200
                );
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        within_timeout(reader).await.unwrap();
    }
    assert_eq!(
        send(&service.admin, "GET", "/healthz", "probe")
            .await
            .status,
        200
    );
    gate.add_permits(Semaphore::MAX_PERMITS);
    for batch in batches {
        finish(batch).await;
    }
    becomes(&service.admin, "/batches/total", json!(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_documented() {
    let service = Process::serve(&["--admin-hosts"]);
    // Nothing listens there, so this is a host that fails.
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", unused.local_addr().unwrap());
    drop(unused);
    finish(start(&service, loopback(1), vec![url], 1).await).await;
    let (held, _gate) = gated_origin().await;
    let _batch = start(&service, loopback(1), vec![held.url("")], 1).await;
    becomes(&service.admin, "/batches/total", json!(1)).await;
    let mut fields = BTreeSet::new();
    collect_fields("", &status(&service.admin).await, &mut fields);
    let page = include_str!("../../docs/admin.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<_> = rows
        .map(|row| row.split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(documented, fields);
}

/// Collects the paths of all fields that aren't objects. `[]` are the items of a list, and
/// `*` is any outcome or code.
fn collect_fields(path: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = if ["history.outcomes", "history.calls"].contains(&path) {
                    "*"
                } else {
                    name
                };
                let separator = if path.is_empty() { "" } else { "." };
                collect_fields(&format!("{path}{separator}{name}"), value, fields);
            }
        }
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            collect_fields(&format!("{path}[]"), &items[0], fields);
        }
        Value::Array(_) => {
            fields.insert(format!("{path}[]"));
        }
        _ => {
            fields.insert(path.to_owned());
        }
    }
}
