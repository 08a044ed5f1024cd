//! Traces: what a collector gets to see of a batch and of its requests.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::{
    config::{Config, OtlpEndpoint, Traces},
    proto::{FetchBatchRequest, FetchEnd, FetchOptions, FetchRequest, Header, ResultPart},
};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use tonic::{Request, transport::Channel};

use crate::support::{
    Answer, Authority, Dns, Origin, Process, RawOrigin, allow_loopback,
    collector::{Behaviour, Collector, attributes, by_request, event, events},
    eventually, gated_origin,
    metrics::metrics,
    raw_client, reply, requests, service_with, until, within_timeout,
};

type Client = fetchd::proto::fetch_service_client::FetchServiceClient<Channel>;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Exports soon, rather than after 5 s.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// Starts the service with its traces going to `collector`.
fn serve(collector: &Collector, variables: &[(&str, &str)]) -> Process {
    let variables = [&[SOON], variables].concat();
    Process::serve_with(&["--otlp-endpoint", &collector.url], &variables)
}

/// Fetches a batch within the caller's trace. Returns the ends by index.
async fn fetch(client: &mut Client, batch: FetchBatchRequest, flags: &str) -> Vec<FetchEnd> {
    let mut call = Request::new(batch);
    let metadata = call.metadata_mut();
    metadata.insert("traceparent", traceparent(flags).parse().unwrap());
    metadata.insert("tracestate", "vendor=1,other=2".parse().unwrap());
    ends(within_timeout(client.fetch_batch(call)).await.unwrap()).await
}

async fn ends(
    response: tonic::Response<tonic::Streaming<fetchd::proto::FetchBatchResponse>>,
) -> Vec<FetchEnd> {
    let mut messages = response.into_inner();
    let mut parts: Vec<ResultPart> = Vec::new();
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        parts.extend(message.parts);
    }
    parts.sort_by_key(|part| part.index);
    parts.into_iter().filter_map(|part| part.end).collect()
}

fn batch(requests: Vec<FetchRequest>) -> FetchBatchRequest {
    FetchBatchRequest {
        requests,
        ..Default::default()
    }
}

/// Returns a single request that's not to be repeated.
fn once(url: String) -> FetchRequest {
    FetchRequest {
        url,
        options: Some(FetchOptions {
            max_attempts: Some(1),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn duration(span: &Span) -> Duration {
    Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano)
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().unwrap().code() == StatusCode::Error
}

/// Stops the service, and returns its log. The collector goes on meanwhile.
async fn stop(service: Process) -> Vec<String> {
    let stopping = tokio::task::spawn_blocking(|| service.into_log());
    within_timeout(stopping).await.unwrap()
}

async fn dropped(service: &Process) -> f64 {
    metrics(&service.admin).await["fetchd_traces_dropped_total"]
}

#[tokio::test]
async fn spans_continue_the_callers_trace() {
    let collector = Collector::new().await;
    let origin = Origin::new(|request| async move {
        let sent = request.headers();
        assert!(!sent.contains_key("traceparent") && !sent.contains_key("tracestate"));
        match request.uri().path() {
            "/moved" => {
                let mut reply = reply("");
                *reply.status_mut() = http::StatusCode::FOUND;
                let headers = reply.headers_mut();
                headers.insert("location", "/there?secret=1".parse().unwrap());
                reply
            }
            "/missing" => {
                let mut reply = reply("");
                *reply.status_mut() = http::StatusCode::NOT_FOUND;
                reply
            }
            _ => reply("there"),
        }
    })
    .await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    let paths = ["there", "moved?secret=1", "missing"];
    let batch = FetchBatchRequest {
        requests: paths.map(|path| once(origin.url(path))).into(),
        concurrency: 1,
        ..Default::default()
    };
    let ends = fetch(&mut client, batch, "01").await;

    let spans = collector.wait_for(4).await;
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.trace_state, "vendor=1,other=2");
    }
    let (batch, requests) = by_request(spans);
    assert_eq!(batch.name, "fetchd.v1.FetchService/FetchBatch");
    assert_eq!(hex(&batch.parent_span_id), PARENT);
    assert!(!is_error(&batch));
    let of_batch = attributes(&batch.attributes);
    for (name, value) in [
        ("rpc.system", "grpc"),
        ("rpc.service", "fetchd.v1.FetchService"),
        ("rpc.method", "FetchBatch"),
        ("rpc.grpc.status_code", "0"),
        ("client.address", "127.0.0.1"),
        ("fetchd.batch.size", "3"),
        ("fetchd.outcomes.2xx", "2"),
        ("fetchd.outcomes.4xx", "1"),
    ] {
        assert_eq!(of_batch[name], value, "{name}");
    }

    for (index, span) in &requests {
        assert_eq!(span.parent_span_id, batch.span_id);
        assert_eq!((&*span.name, span.kind), ("GET", 3));
        assert!(batch.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= batch.end_time_unix_nano);
        let attributes = attributes(&span.attributes);
        let port = origin.address.port().to_string();
        let path = paths[*index].split('?').next().unwrap();
        for (name, value) in [
            ("http.request.method", "GET"),
            ("url.full", &*origin.url(path)),
            ("url.scheme", "http"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("network.protocol.version", "1.1"),
            ("http.response.status_code", ["200", "200", "404"][*index]),
            ("fetchd.attempts", "1"),
            ("fetchd.redirects", ["0", "1", "0"][*index]),
            ("fetchd.batch.id", &of_batch["fetchd.batch.id"]),
        ] {
            assert_eq!(attributes[name], value, "{name}");
        }
        assert!(!attributes.contains_key("http.request.resend_count"));
        let error = attributes.get("error.type").map(String::as_str);
        assert_eq!(error, [None, None, Some("404")][*index]);
        assert_eq!(is_error(span), error.is_some());
        let timing = ends[*index].timing.unwrap();
        let total = Duration::try_from(timing.total.unwrap()).unwrap();
        assert_eq!(duration(span).as_micros(), total.as_micros());
    }
    assert_eq!(events(&requests[&0]), ["attempt", "connect", "first byte"]);
    assert_eq!(
        events(&requests[&1]),
        [
            "attempt",
            "connection reused",
            "redirect",
            "connection reused",
            "first byte"
        ]
    );
    let redirect = event(&requests[&1], "redirect");
    assert_eq!(redirect["url.full"], origin.url("there"));
    assert_eq!(redirect["http.response.status_code"], "302");
    let connect = event(&requests[&0], "connect");
    assert_eq!(connect["network.peer.address"], "127.0.0.1");
    let times = requests[&1].events.iter().map(|event| event.time_unix_nano);
    assert!(times.clone().is_sorted());
    assert!(times.max() <= Some(requests[&1].end_time_unix_nano));
}

#[tokio::test]
async fn every_phase_of_every_hop_is_an_event() {
    let authority = Authority::new();
    let collector = Collector::new().await;
    let dns = Dns::new(|_| Answer::Addresses(vec![[127, 0, 0, 1].into()])).await;
    let https = RawOrigin::encrypted(authority.acceptor("far.test")).await;
    let target = format!("https://far.test:{}/", https.address.port());
    let location = target.clone();
    let http = Origin::new(move |_| {
        let location = location.clone();
        async move {
            let mut reply = reply("");
            *reply.status_mut() = http::StatusCode::FOUND;
            reply
                .headers_mut()
                .insert("location", location.parse().unwrap());
            reply
        }
    })
    .await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    config.origins.extra_roots = vec![authority.root()];
    let service = service_with(traced(config, &collector)).await;
    let mut client = service.raw_client().await;
    let url = format!("http://near.test:{}/", http.address.port());
    let ends = fetch(&mut client, batch(vec![once(url)]), "01").await;

    let (_, requests) = by_request(collector.wait_for(2).await);
    let span = &requests[&0];
    let hops = [
        "attempt",
        "dns",
        "connect",
        "redirect",
        "dns",
        "connect",
        "tls",
        "first byte",
    ];
    assert_eq!(events(span), hops);
    assert_eq!(event(span, "redirect")["url.full"], target);
    let timing = ends[0].timing.unwrap();
    let last_hop = span.events.iter().skip(4);
    let phases = [timing.dns, timing.connect, timing.tls];
    for (event, phase) in last_hop.zip(phases) {
        let phase = Duration::try_from(phase.unwrap()).unwrap();
        let recorded: f64 = attributes(&event.attributes)["fetchd.duration"]
            .parse()
            .unwrap();
        assert_eq!(
            Duration::from_secs_f64(recorded).as_micros(),
            phase.as_micros()
        );
    }
}

/// Adds an exporter to `config`.
fn traced(config: Config, collector: &Collector) -> Config {
    let endpoint: OtlpEndpoint = collector.url.parse().unwrap();
    let mut traces = Traces::new(endpoint);
    traces.schedule_delay = Duration::from_millis(20);
    Config {
        traces: Some(traces),
        ..config
    }
}

#[tokio::test]
async fn attempts_and_retries_are_events() {
    let collector = Collector::new().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let origin = Origin::new(move |_| {
        let number = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut reply = reply("there");
            if number < 2 {
                *reply.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            }
            reply
        }
    })
    .await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    let mut request = once(origin.url("busy"));
    request.options.as_mut().unwrap().max_attempts = Some(3);
    let ends = fetch(&mut client, batch(vec![request]), "01").await;
    assert_eq!((ends[0].attempts, &ends[0].error), (3, &None));

    let (_, requests) = by_request(collector.wait_for(2).await);
    let span = &requests[&0];
    let count = |name| events(span).iter().filter(|event| **event == name).count();
    assert_eq!(
        (count("attempt"), count("retry"), count("first byte")),
        (3, 2, 3)
    );
    let retry = event(span, "retry");
    assert_eq!(retry["error.type"], "503");
    assert!(retry["fetchd.delay"].parse::<f64>().unwrap() >= 0.0);
    let attributes = attributes(&span.attributes);
    assert_eq!(attributes["http.request.resend_count"], "2");
    assert_eq!(attributes["http.response.status_code"], "200");
    assert!(!is_error(span));
}

#[tokio::test]
async fn request_that_is_sent_again_on_another_connection_says_so() {
    let collector = Collector::new().await;
    let origin = RawOrigin::new(|mut stream| async move {
        use tokio::io::AsyncWriteExt;
        crate::support::read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        let _ = stream.write_all(answer).await;
        // The next request on this connection fails.
        crate::support::read_head(&mut stream).await;
        crate::support::reset(stream);
    })
    .await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    for _ in 0..2 {
        fetch(&mut client, batch(vec![once(origin.url())]), "01").await;
    }
    collector.wait_for(4).await;
    let spans = collector.spans();
    let again = spans.iter().find(|span| events(span).contains(&"resend"));
    let expected = [
        "attempt",
        "connection reused",
        "resend",
        "connect",
        "first byte",
    ];
    assert_eq!(events(again.unwrap()), expected);
}

#[tokio::test]
async fn sampling_follows_the_caller_or_the_ratio() {
    for (sampler, argument, flags, is_traced) in [
        ("", "", "01", true),
        ("", "", "00", false),
        ("parentbased_traceidratio", "0", "01", true),
        ("parentbased_always_on", "", "00", false),
        ("always_on", "", "00", true),
        ("traceidratio", "0", "01", false),
        ("traceidratio", "1", "00", true),
        ("always_off", "", "01", false),
    ] {
        let collector = Collector::new().await;
        let origin = Origin::new(|_| async { reply("there") }).await;
        let variables = [
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let service = serve(&collector, &variables);
        let mut client = raw_client(&service.url).await;
        fetch(&mut client, batch(requests([origin.url("")])), flags).await;
        // The exporter sends everything before the process ends.
        stop(service).await;
        let spans = collector.spans().len();
        assert_eq!(
            spans,
            if is_traced { 2 } else { 0 },
            "{sampler} {argument} {flags}"
        );
    }
}

#[tokio::test]
async fn calls_without_a_trace_begin_one_that_is_in_the_log() {
    let collector = Collector::new().await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    let call = client.fetch_batch(batch(requests([origin.url("")])));
    ends(within_timeout(call).await.unwrap()).await;
    let (batch, _) = by_request(collector.wait_for(2).await);
    assert!(batch.parent_span_id.is_empty());
    let log = stop(service).await;
    let line = log
        .iter()
        .find(|line| line.contains("batch ended"))
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["trace_id"], hex(&batch.trace_id));
    assert_eq!(
        line["batch"],
        attributes(&batch.attributes)["fetchd.batch.id"]
    );
}

#[tokio::test]
async fn settings_come_from_the_standard_variables() {
    let collector = Collector::new().await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let variables = [
        SOON,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b,x-other=2"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment=test,service.name=no",
        ),
        ("OTEL_SERVICE_NAME", "edge"),
    ];
    let service = Process::serve_with(&[], &variables);
    let mut client = raw_client(&service.url).await;
    fetch(&mut client, batch(requests([origin.url("")])), "01").await;
    collector.wait_for(2).await;
    collector.exports(|exports| {
        let key = exports[0]
            .metadata
            .get_all("x-key")
            .iter()
            .collect::<Vec<_>>();
        assert_eq!(key, ["a b"]);
        assert_eq!(exports[0].metadata.get("x-other").unwrap(), "2");
        let resource = exports[0].message.resource_spans[0].resource.as_ref();
        let resource = attributes(&resource.unwrap().attributes);
        for (name, value) in [
            ("service.name", "edge"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("deployment.environment", "test"),
            ("telemetry.sdk.name", "opentelemetry"),
        ] {
            assert_eq!(resource[name], value);
        }
    });
}

#[tokio::test]
async fn collector_with_tls_needs_a_known_root() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let origin = Origin::new(|_| async { reply("there") }).await;
    let folder = tempfile::tempdir().unwrap();
    for (trusted, is_known) in [(&authority, true), (&stranger, false)] {
        let collector = Collector::encrypted(authority.http2("localhost")).await;
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, trusted.pem()).unwrap();
        let service = serve(&collector, &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
        let mut client = raw_client(&service.url).await;
        fetch(&mut client, batch(requests([origin.url("")])), "01").await;
        let (sent, lost) = if is_known { (2, 0.0) } else { (0, 2.0) };
        collector.wait_for(sent).await;
        eventually(async || dropped(&service).await == lost).await;
    }
}

#[tokio::test]
async fn nothing_is_traced_unless_asked_for() {
    let collector = Collector::new().await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let (off, url) = (("OTEL_SDK_DISABLED", "true"), &*collector.url);
    for variables in [
        vec![],
        vec![
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""),
            ("FETCHD_OTLP_ENDPOINT", ""),
        ],
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", url), off],
        vec![("FETCHD_OTLP_ENDPOINT", url), off],
        vec![
            ("FETCHD_OTLP_ENDPOINT", url),
            ("OTEL_TRACES_EXPORTER", "none"),
        ],
    ] {
        let service = Process::serve_with(&[], &variables);
        let mut client = raw_client(&service.url).await;
        fetch(&mut client, batch(requests([origin.url("")])), "01").await;
        let threads = std::fs::read_dir(format!("/proc/{}/task", service.id())).unwrap();
        let names = threads.map(|thread| {
            let path = thread.unwrap().path().join("comm");
            std::fs::read_to_string(path).unwrap_or_default()
        });
        assert!(!names.collect::<String>().contains("fetchd-traces"));
        let log = stop(service).await;
        assert!(log.iter().any(|line| line.contains(TRACE)), "{log:#?}");
    }
    assert!(collector.spans().is_empty());
}

#[tokio::test]
async fn requests_of_a_caller_that_left_are_cancelled() {
    let collector = Collector::new().await;
    let (origin, _gate) = gated_origin().await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    let mut call = Request::new(FetchBatchRequest {
        requests: requests(vec![origin.url(""); 5]),
        concurrency: 2,
        ..Default::default()
    });
    let metadata = call.metadata_mut();
    metadata.insert("traceparent", traceparent("01").parse().unwrap());
    let response = within_timeout(client.fetch_batch(call)).await.unwrap();
    until(|| origin.in_flight() == 2).await;
    drop(response);

    // The other three were never dispatched.
    let (batch, requests) = by_request(collector.wait_for(3).await);
    assert_eq!(attributes(&batch.attributes)["rpc.grpc.status_code"], "1");
    assert!(!is_error(&batch));
    for span in requests.values() {
        assert_eq!(attributes(&span.attributes)["error.type"], "cancelled");
        assert_eq!(events(span)[..2], ["attempt", "connect"]);
        assert!(is_error(span));
    }
}

#[tokio::test]
async fn requests_that_were_never_dispatched_have_spans() {
    let collector = Collector::new().await;
    let (origin, _gate) = gated_origin().await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    let batch = FetchBatchRequest {
        requests: requests([
            "no URL".to_owned(),
            origin.url("first"),
            origin.url("second?q"),
        ]),
        concurrency: 1,
        timeout: Some(Duration::from_millis(100).try_into().unwrap()),
        ..Default::default()
    };
    fetch(&mut client, batch, "01").await;
    let (_, requests) = by_request(collector.wait_for(4).await);
    let expected = ["invalid_request", "batch_deadline", "batch_deadline"];
    for (index, span) in &requests {
        let attributes = attributes(&span.attributes);
        assert_eq!(attributes["error.type"], expected[*index]);
        assert_eq!(
            attributes["fetchd.attempts"],
            if *index == 1 { "1" } else { "0" }
        );
        let url = [None, Some(origin.url("first")), Some(origin.url("second"))];
        assert_eq!(attributes.get("url.full"), url[*index].as_ref());
        assert!(is_error(span));
    }
    assert!(events(&requests[&2]).is_empty());
    // It waited until the deadline.
    assert!(duration(&requests[&2]) >= Duration::from_millis(100));
}

#[tokio::test]
async fn spans_are_sent_before_the_process_ends() {
    let collector = Collector::new().await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let never = [("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let service = serve(&collector, &never);
    let mut client = raw_client(&service.url).await;
    fetch(
        &mut client,
        batch(requests(vec![origin.url(""); 600])),
        "01",
    )
    .await;
    // There are more than in a message, and one message was full.
    collector.wait_for(512).await;
    stop(service).await;
    assert_eq!(collector.spans().len(), 601);
}

#[tokio::test]
async fn requests_that_a_drain_cuts_short_are_sent_too() {
    let collector = Collector::new().await;
    let (origin, _gate) = gated_origin().await;
    let arguments = ["--otlp-endpoint", &collector.url, "--drain-timeout", "0s"];
    let service = Process::serve_with(&arguments, &[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]);
    let mut client = raw_client(&service.url).await;
    let fetching =
        tokio::spawn(
            async move { fetch(&mut client, batch(requests([origin.url("")])), "01").await },
        );
    eventually(async || metrics(&service.admin).await["fetchd_batches_active"] == 1.0).await;
    service.signal("TERM");
    within_timeout(fetching).await.unwrap();
    stop(service).await;
    let (_, requests) = by_request(collector.spans());
    assert_eq!(
        attributes(&requests[&0].attributes)["error.type"],
        "shutting_down"
    );
}

#[tokio::test]
async fn collector_that_fails_costs_spans_only() {
    let silent = Collector::that(Behaviour::Silent).await;
    let late = Collector::that(Behaviour::Late(Duration::from_secs(3600))).await;
    let refusing = Collector::that(Behaviour::Refuses).await;
    // Accepts connections, but doesn't speak.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("http://{}", deaf.local_addr().unwrap());
    let origin = Origin::new(|_| async { reply("there") }).await;
    for collector in [
        "http://127.0.0.1:1",
        &silent.url,
        &late.url,
        &refusing.url,
        &deaf,
    ] {
        let variables = [
            SOON,
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ];
        let service = Process::serve_with(&["--otlp-endpoint", collector], &variables);
        let mut client = raw_client(&service.url).await;
        let batch = batch(requests(vec![origin.url(""); 2000]));
        let ends = fetch(&mut client, batch, "01").await;
        assert_eq!(ends.len(), 2000);
        assert!(ends.iter().all(|end| end.error.is_none()));
        // Every span is counted exactly once.
        eventually(async || dropped(&service).await == 2001.0).await;
        // If there's no room for the call's span, there's none for its requests.
        let fill = FetchBatchRequest {
            requests: requests(vec![origin.url(""); 200]),
            concurrency: 1,
            ..Default::default()
        };
        let (mut one, mut other) = (client.clone(), client.clone());
        tokio::join!(
            fetch(&mut one, fill.clone(), "01"),
            fetch(&mut other, fill, "01")
        );
        eventually(async || dropped(&service).await == 2403.0).await;
        let log = stop(service).await;
        let warnings = log
            .iter()
            .filter(|line| line.contains("does not accept spans"));
        assert_eq!(warnings.count(), 1, "{collector}: {log:#?}");
    }
    assert!(silent.spans().is_empty());
}

#[tokio::test]
async fn slow_collector_gets_as_many_spans_as_fit() {
    let collector = Collector::that(Behaviour::Late(Duration::from_millis(300))).await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = serve(&collector, &[("OTEL_BSP_MAX_QUEUE_SIZE", "50")]);
    let mut client = raw_client(&service.url).await;
    let batch = batch(requests(vec![origin.url(""); 2000]));
    let ends = fetch(&mut client, batch, "01").await;
    assert!(ends.iter().all(|end| end.error.is_none()));
    // None is lost without being counted.
    eventually(async || collector.spans().len() as f64 + dropped(&service).await == 2001.0).await;
    assert!(collector.spans().len() >= 50);
    assert!(
        stop(service)
            .await
            .iter()
            .all(|line| !line.contains("WARN"))
    );
}

#[tokio::test]
async fn hung_collector_does_not_delay_the_end() {
    let collector = Collector::that(Behaviour::Silent).await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    fetch(&mut client, batch(requests([origin.url("")])), "01").await;
    drop(client);
    let started = std::time::Instant::now();
    let log = stop(service).await;
    // The collector would have 10 s otherwise.
    assert!(started.elapsed() < Duration::from_secs(5));
    let last = log
        .iter()
        .find(|line| line.contains("did not take the last spans"));
    assert!(last.unwrap().contains("\"spans\":2"), "{log:#?}");
}

#[tokio::test]
async fn secrets_are_never_exported() {
    let collector = Collector::new().await;
    let origin = Origin::new(|request| async move {
        let mut reply = reply("planted-answer");
        if request.uri().path() == "/moved" {
            *reply.status_mut() = http::StatusCode::FOUND;
            let headers = reply.headers_mut();
            let location = "http://planted-user:planted-password@127.0.0.1:1/?planted#planted";
            headers.insert("location", location.parse().unwrap());
        }
        reply
    })
    .await;
    let service = serve(
        &collector,
        &[("OTEL_EXPORTER_OTLP_HEADERS", "x-key=planted-key")],
    );
    let mut client = raw_client(&service.url).await;
    let request = |place: String| FetchRequest {
        url: format!(
            "{}?planted#planted",
            place.replacen("//", "//planted:planted@", 1)
        ),
        method: "POST".to_owned(),
        headers: vec![Header {
            name: "x-planted".to_owned(),
            value: "planted".into(),
        }],
        body: "planted".into(),
        ..once(String::new())
    };
    let places = [
        origin.url("there"),
        origin.url("moved"),
        "http://127.0.0.1:1/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://planted.invalid:0/".to_owned(),
    ];
    let batch = batch(places.map(request).into());
    fetch(&mut client, batch, "01").await;
    collector.wait_for(6).await;
    collector.exports(|exports| {
        for export in exports {
            let text = format!("{:?}", export.message);
            // The host of the last one is no secret.
            assert!(
                !text.replace("planted.invalid", "").contains("planted"),
                "{text}"
            );
        }
    });
    assert!(
        !service
            .into_log()
            .concat()
            .replace("planted.invalid", "")
            .contains("planted")
    );
}

#[test]
fn wrong_settings_end_the_start() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    for (name, value, expected) in [
        (
            "FETCHD_OTLP_ENDPOINT",
            "collector:4317",
            "--otlp-endpoint: expected a URL",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://a", "expected a URL"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://a/v1/traces",
            "expected a URL",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key", "expected a list"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "a b=1",
            "expected names",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10s",
            "expected a whole number of milliseconds",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            "expected grpc",
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "expected none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", "SSL_CERT_FILE"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "expected always_on,"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp or none"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=1", "expected a list"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1 to"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "from 1 to 2048"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "milliseconds from 1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0", "milliseconds from 1"),
        ("OTEL_SDK_DISABLED", "maybe", "expected true or false"),
    ] {
        refused(&[endpoint, (name, value)], name, expected);
    }
    for argument in ["2", "-1", "NaN", "much"] {
        let variables = [
            endpoint,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        refused(
            &variables,
            "OTEL_TRACES_SAMPLER_ARG",
            "expected a number from 0 to 1",
        );
    }
}

fn refused(variables: &[(&str, &str)], name: &str, expected: &str) {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let output = Command::new(env!("CARGO_BIN_EXE_fetchd"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off"])
        .envs(variables)
        .output()
        .unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{name}: {line}");
    assert!(line.contains(expected), "{line}");
    assert!(name.starts_with("FETCHD") || line.contains(name), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}
