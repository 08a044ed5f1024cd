//! `fetchd serve` and its settings, used the way operators do.

use std::process::Output;

use fetchd::{
    client::{Client, Request},
    config::Config,
    proto::FetchBatchRequest,
    server::Server,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{
    Process,
    command::fetchd_with,
    eventually,
    metrics::get,
    namespace::{self, Network},
    origin_gated_at, raw_client, until, within_timeout,
};

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Stops the service. Returns the fields of the line that it logs when it starts.
fn start_line(service: Process) -> Value {
    let lines = service.into_log().into_iter();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    lines.find(|line| line["message"] == "serving").unwrap()
}

/// Returns the messages in a log of JSON lines.
fn messages(log: &str) -> Vec<String> {
    let message = |line| {
        let fields: Value = serde_json::from_str(line).unwrap();
        fields["message"].as_str().unwrap().to_owned()
    };
    log.lines().map(message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_may_have_host_names() {
    let service = Process::serve(&["--listen", "localhost:0", "--admin-listen", "localhost:0"]);
    for address in [service.address(), &service.admin] {
        assert!(address.starts_with("127.0.0.1:"), "{address}");
    }
    assert_eq!(get(&service.admin, "/healthz").await.0, 200);

    // The policy denies the addresses that the name led to.
    let client = Client::connect(&service.url).await.unwrap();
    for listener in [service.address(), &service.admin] {
        let request = Request::get(format!("http://{listener}/"));
        let error = within_timeout(client.execute(request)).await.unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("the service itself listens there"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv4_address_of_a_host_name_comes_first() {
    const HOSTS: &str = "::1 both.test\n127.0.0.2 both.test\n::1 six.test\n";
    let name = "serve::an_ipv4_address_of_a_host_name_comes_first";
    if namespace::enter(name, HOSTS) != Some(Network::Isolated) {
        return;
    }
    for (host, address) in [("both.test:0", "127.0.0.2:"), ("six.test:0", "[::1]:")] {
        let service = Process::serve(&["--listen", host]);
        let bound = service.address();
        assert!(bound.starts_with(address), "{host}: {bound}");
    }

    // There's no name server here, so the look-up fails at once.
    for (flag, listen) in [
        ("--listen", "unknown.test:50051"),
        ("--admin-listen", "unknown.test:9090"),
    ] {
        let mut arguments = vec!["serve", "--log-format", "json", flag, listen];
        if flag != "--listen" {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let output = fetchd_with(&arguments, &[]).await;
        assert_eq!(output.status.code(), Some(1));
        let messages = messages(stderr(&output));
        let expected =
            format!("{flag}: expected a host name that has an address, got \"{listen}\" (");
        let last = messages.last().unwrap();
        assert!(last.starts_with(&expected), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_a_port_is_wrong_usage() {
    for (arguments, expected) in [
        (
            ["serve", "--listen", "localhost"],
            "error: --listen: expected an address such as 127.0.0.1:50051 or localhost:50051, \
             got \"localhost\"\n",
        ),
        (
            ["serve", "--admin-listen", "localhost:http"],
            "error: --admin-listen: expected an address such as 127.0.0.1:9090 or \
             localhost:9090, or off, got \"localhost:http\"\n",
        ),
    ] {
        let output = fetchd_with(&arguments, &[]).await;
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_its_flag() {
    let service = Process::serve(&[]);
    let output = fetchd_with(
        &[
            "serve",
            "--log-format",
            "json",
            "--listen",
            service.address(),
        ],
        &[],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    let messages = messages(stderr(&output));
    let expected = format!("--listen: cannot listen on {}: ", service.address());
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with(&expected), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_number_is_answered_with_the_accepted_range() {
    let count = "a whole number from 1 to 1000000";
    for (flag, wrong, expected) in [
        ("--default-concurrency", "0", count),
        ("--max-concurrency", "-1", count),
        ("--max-in-flight", "abc", "a whole number from 2 to 1000000"),
        ("--max-in-flight", "1", "a whole number from 2 to 1000000"),
        (
            "--max-per-host",
            "1000001",
            "a whole number from 0 to 1000000",
        ),
        ("--max-batches", "1.5", "a whole number from 1 to 500000"),
        ("--max-batch-requests", "5000000000", count),
        ("--max-connections", "", count),
        (
            "--max-request-bytes",
            "1023",
            "a size from 1KiB to 1TiB, such as 64KiB or 10MiB",
        ),
        (
            "--max-queued-bytes",
            "2TiB",
            "a size from 1KiB to 1TiB, such as 64KiB or 10MiB",
        ),
        (
            "--max-body-bytes",
            "-1",
            "a size from 0 to 16EiB, such as 64KiB or 10MiB",
        ),
        (
            "--stall-timeout",
            "99ms",
            "a duration of at least 100ms, such as 30s or 10m",
        ),
        (
            "--max-connection-age",
            "0s",
            "a duration of at least 100ms, such as 30s or 10m",
        ),
        (
            "--max-timeout",
            "25h",
            "a duration greater than 0s and at most 1day, such as 30s, 250ms or 10m",
        ),
        (
            "--drain-delay",
            "5",
            "a duration such as 0s, 250ms, 30s or 10m",
        ),
        ("--worker-threads", "0", "a whole number from 1 to 1024"),
    ] {
        let argument = format!("{flag}={wrong}");
        let output = fetchd_with(&["serve", &argument], &[]).await;
        assert_eq!(output.status.code(), Some(2), "{argument}");
        let expected = format!("error: {flag}: expected {expected}, got \"{wrong}\"\n");
        assert_eq!(stderr(&output), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_contradict_each_other_are_wrong_usage() {
    for (flags, expected) in [
        (
            &["--max-concurrency", "200", "--max-in-flight", "100"][..],
            "--max-concurrency: expected at most --max-in-flight (100), got \"200\"",
        ),
        (
            &["--default-concurrency", "80", "--max-in-flight", "60"],
            "--default-concurrency: expected at most --max-in-flight (60), got \"80\"",
        ),
        (
            &["--default-concurrency", "30", "--max-concurrency", "20"],
            "--default-concurrency: expected at most --max-concurrency (20), got \"30\"",
        ),
        (
            &["--max-concurrency", "2000"],
            "--max-concurrency: expected at most --max-in-flight (1024), got \"2000\"",
        ),
        (
            &["--max-batches", "51", "--max-in-flight", "100"],
            "--max-batches: expected at most half of --max-in-flight (50), got \"51\"",
        ),
    ] {
        let output = fetchd_with(&[&["serve"], flags].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert_eq!(stderr(&output), format!("error: {expected}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_max_in_flight_lowers_the_defaults() {
    let start = start_line(Process::serve(&["--max-in-flight", "40"]));
    for (field, value) in [
        ("default_concurrency", 40),
        ("max_concurrency", 40),
        ("max_in_flight", 40),
        ("max_batches", 10),
    ] {
        assert_eq!(start["limits"][field], value, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_line_tells_where_each_limit_came_from() {
    let start = start_line(Process::serve_with(
        &["--max-batches", "10", "--max-queued-bytes", "32MiB"],
        &[
            ("FETCHD_STALL_TIMEOUT", "250ms"),
            ("FETCHD_MAX_BATCHES", "11"),
            // An empty variable is the same as none.
            ("FETCHD_ADMIN_HOSTS", ""),
        ],
    ));
    assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
    let (limits, sources) = (&start["limits"], &start["sources"]);
    assert_eq!(limits["max_batches"], 10);
    assert_eq!(sources["max_batches"], "--max-batches");
    assert_eq!(limits["max_queued_bytes"], 32 << 20);
    assert_eq!(limits["stall_timeout_s"], 0.25);
    assert_eq!(sources["stall_timeout"], "FETCHD_STALL_TIMEOUT");
    // Those with their defaults have no source.
    assert_eq!(limits["max_timeout_s"], 600.0);
    assert_eq!(sources.get("max_timeout"), None);
    assert_eq!(sources["listen"], "--listen");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_line_has_the_egress_policy() {
    let start = start_line(Process::serve(&[
        "--allow-net",
        "192.0.2.7,fd00:1::2/16",
        "--deny-net",
        "127.0.0.2",
        "--allow-host",
        "*.Example.com,127.0.0.1",
        "--allow-port",
        "80, 443",
    ]));
    assert_eq!(start["allow_net"], "127.0.0.0/8,192.0.2.7/32,fd00::/16");
    assert_eq!(start["deny_net"], "127.0.0.2/32");
    assert_eq!(start["allow_host"], "*.example.com,127.0.0.1");
    assert_eq!(start["allow_port"], "80,443");
    assert_eq!(start.get("deny_host"), None);

    let start = start_line(Process::serve(&[]));
    assert_eq!(start["allow_net"], "127.0.0.0/8");
    for unset in ["deny_net", "allow_host", "deny_host", "allow_port"] {
        assert_eq!(start.get(unset), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_a_prefix_is_warned_about() {
    let service = Process::serve(&[
        "--deny-net",
        "10.0.0.0,10.0.0.1,192.168.0.0/32",
        "--allow-net",
        "127.1.0.0",
    ]);
    let log = service.into_log().join("\n");
    let messages = messages(&log);
    let warnings: Vec<_> = messages
        .iter()
        .filter(|message| message.contains("prefix"))
        .collect();
    assert_eq!(
        warnings,
        [
            "--allow-net: 127.1.0.0 has no prefix and only means 127.1.0.0/32; \
             for a network, write 127.1.0.0/16",
            "--deny-net: 10.0.0.0 has no prefix and only means 10.0.0.0/32; \
             for a network, write 10.0.0.0/8",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_help_has_headings_and_the_environment() {
    for help in ["--help", "-h"] {
        let output = fetchd_with(&["serve", help], &[]).await;
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with(' '));
        let headings = lines.filter_map(|line| line.strip_suffix(':'));
        assert_eq!(
            headings.collect::<Vec<_>>(),
            [
                "Options",
                "Listeners",
                "Callers",
                "Limits",
                "Limits of a request",
                "Where fetches may go",
                "Origins",
                "Shutdown",
                "Traces",
                "Process",
                "Environment",
            ]
        );
        let (_, environment) = text.split_once("Environment:").unwrap();
        for name in ["FETCHD_", "RUST_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            assert!(environment.contains(name), "{name}");
        }
    }
}

/// Waits until `/readyz` is 503. Returns its text.
async fn unready(admin: &str) -> String {
    let mut text = String::new();
    eventually(async || {
        let (status, answer) = get(admin, "/readyz").await;
        text = answer;
        status == 503
    })
    .await;
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_tells_the_drain_delay_from_the_drain() {
    let (origin, gate) = origin_gated_at(|path| path == "/gated").await;
    let service = Process::serve(&["--drain-delay", "1m"]);
    let client = Client::connect(&service.url).await.unwrap();
    eventually(async || get(&service.admin, "/readyz").await == (200, "ready\n".to_owned())).await;
    service.signal("TERM");
    let text = unready(&service.admin).await;
    assert_eq!(
        text,
        "shutting down: the server still accepts batches for now\n"
    );
    // And so it does.
    let response = within_timeout(client.execute(Request::get(origin.url("")))).await;
    assert_eq!(response.unwrap().status(), 200);

    // A batch that's open keeps this service in its drain.
    let service = Process::serve(&["--drain-delay", "0s", "--drain-timeout", "1m"]);
    let client = Client::connect(&service.url).await.unwrap();
    let open = tokio::spawn(client.fetch([origin.url("gated")]).all());
    until(|| origin.in_flight() == 1).await;
    service.signal("TERM");
    let draining = "draining: the server takes no new batches\n";
    eventually(async || unready(&service.admin).await == draining).await;
    let mut calls = raw_client(&service.url).await;
    let refused = calls.fetch_batch(FetchBatchRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Unavailable);
    gate.add_permits(1);
    assert!(within_timeout(open).await.unwrap()[0].is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_tells_a_server_that_starts() {
    let server = Server::new(Config::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap().to_string();
    let _serving = AbortOnDropHandle::new(tokio::spawn(server.admin().serve(listener)));
    assert_eq!(
        unready(&admin).await,
        "starting: the server does not accept batches yet\n"
    );
}
