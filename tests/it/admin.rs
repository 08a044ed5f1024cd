//! The admin page and its data.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use fetchd::{
    config::Config,
    proto::{FetchBatchRequest, FetchBatchResponse},
    server::Server,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

use crate::support::{
    Origin, Process,
    caller::{client, loopback},
    eventually, gated_origin, metered_origin, reply, requests, within_timeout,
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
async fn hosts_are_named_only_if_the_operator_wants_that() {
    let origin = Origin::new(|request| async move {
        let mut reply = reply("there");
        if request.uri().path() == "/broken" {
            *reply.status_mut() = http::StatusCode::BAD_GATEWAY;
        }
        reply
    })
    .await;
    let port = origin.address.port();
    let urls = || {
        vec![
            format!("http://user:hunter2@Broken.localhost:{port}/broken?token=hunter2"),
            format!("http://broken.localhost:{port}/path"),
            format!("http://fine.localhost:{port}/path"),
            "http://never sent/".to_owned(),
        ]
    };
    let service = Process::serve(&[]);
    finish(start(&service, loopback(1), urls(), 4).await).await;
    let off = status(&service.admin).await;
    assert_eq!(off["hosts"], Value::Null);
    assert!(!off.to_string().contains("localhost"));

    let service = Process::serve(&["--admin-hosts"]);
    finish(start(&service, loopback(1), urls(), 4).await).await;
    let on = status(&service.admin).await;
    let hosts = &on["hosts"];
    assert_eq!(
        (&hosts["tracked"], &hosts["forgotten"]),
        (&json!(2), &json!(0))
    );
    let failing = hosts["failing"].as_array().unwrap();
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0]["host"], "broken.localhost");
    assert_eq!(failing[0]["requests"], 2);
    assert_eq!(failing[0]["failures"], 1);
    let slowest = hosts["slowest"].as_array().unwrap();
    assert_eq!(slowest.len(), 2);
    for secret in ["hunter2", "path", "user", "Broken"] {
        assert!(!hosts.to_string().contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_have_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "absent-caller hunter2-token-of-a-caller\n").unwrap();
    let service = Process::serve_with(
        &[
            "--auth-token-file",
            tokens.to_str().unwrap(),
            "--deny-net",
            "10.1.0.0/16",
            "--allow-host",
            "*.example.com,localhost",
            "--allow-port",
            "443,8443",
        ],
        &[("FETCHD_PROXY", "http://user:hunter2@127.0.0.1:3128")],
    );
    let settings = status(&service.admin).await["settings"].take();
    assert_eq!(settings["proxy"], "http://127.0.0.1:3128/");
    assert_eq!(settings["tokens"], true);
    assert_eq!(settings["limits"]["max_in_flight"], 1024);
    let egress = json!({
        "allow_net": ["127.0.0.0/8"],
        "deny_net": ["10.1.0.0/16"],
        "allow_host": ["*.example.com", "localhost"],
        "deny_host": [],
        "allow_port": [443, 8443],
    });
    assert_eq!(settings["egress"], egress);
    for path in ["/", "/status.json"] {
        let body = send(&service.admin, "GET", path, "localhost").await.body;
        for secret in [
            "hunter2",
            "absent-caller",
            "user",
            folder.path().to_str().unwrap(),
        ] {
            assert!(!body.contains(secret), "{secret} in {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_page_itself_can_read_the_status() {
    let service = Process::serve(&[]);
    let admin = &service.admin;
    let page = send(admin, "GET", "/", admin).await;
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with("<!doctype html>") && !page.body.contains("{{"));
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(page.head.contains(header), "{header} in {}", page.head);
    }
    let head = send(admin, "HEAD", "/", admin).await;
    let length = format!("content-length: {}", page.body.len());
    assert!(head.status == 200 && head.body.is_empty() && head.head.contains(&length));
    assert_eq!(send(admin, "POST", "/", admin).await.status, 405);
    let unknown = send(admin, "GET", "/unknown", admin).await;
    let paths = "expected /, /status.json, /metrics, /healthz or /readyz\n";
    assert_eq!((unknown.status, unknown.body.as_str()), (404, paths));

    let json = send(admin, "GET", "/status.json", admin).await;
    assert!(json.head.contains("content-type: application/json"));
    assert!(json.head.contains("cache-control: no-store"));
    assert!(!json.head.contains("access-control"));
    // A name that anybody could have registered to resolve to our address.
    for path in ["/", "/status.json"] {
        let status = send(admin, "GET", path, "rebind.example.com").await.status;
        assert_eq!(status, 421, "{path}");
    }
    for path in ["/metrics", "/healthz"] {
        let status = send(admin, "GET", path, "rebind.example.com").await.status;
        assert_eq!(status, 200, "{path}");
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
/// `*` is any outcome.
fn collect_fields(path: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = if path == "history.outcomes" {
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
