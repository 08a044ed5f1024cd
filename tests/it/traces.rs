//! Traces: what a collector gets to see of a batch and of its requests.

mod collectors;
mod events;
mod settings;

use std::time::Duration;

use fetchd::proto::{FetchBatchRequest, FetchEnd, FetchOptions, FetchRequest, Header, ResultPart};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use tonic::{Request, transport::Channel};

use crate::support::{
    Origin, Process,
    collector::{Collector, attributes, by_request, event, events},
    gated_origin,
    metrics::metrics,
    raw_client, reply, requests, until, within_timeout,
};

type Client = fetchd::proto::fetch_service_client::FetchServiceClient<Channel>;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Exports soon, rather than after 5 s.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");

/// Starts the service with its traces going to `collector`.
fn serve(collector: &Collector, variables: &[(&str, &str)]) -> Process {
    let variables = [&[SOON], variables].concat();
    Process::serve_with(&["--otlp-endpoint", &collector.url], &variables)
}

/// Fetches a batch within the caller's trace. Returns the ends by index.
async fn fetch(client: &mut Client, batch: FetchBatchRequest, flags: &str) -> Vec<FetchEnd> {
    let call = client.fetch_batch(call(batch, flags));
    ends(within_timeout(call).await.unwrap()).await
}

/// Fetches a single request within the caller's trace.
async fn fetch_one(service: &Process, flags: &str) {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let mut client = raw_client(&service.url).await;
    fetch(&mut client, batch(requests([origin.url("")])), flags).await;
}

/// Returns a call within the caller's trace.
fn call(batch: FetchBatchRequest, flags: &str) -> Request<FetchBatchRequest> {
    let mut call = Request::new(batch);
    let metadata = call.metadata_mut();
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    metadata.insert("traceparent", parent.parse().unwrap());
    metadata.insert("tracestate", "vendor=1,other=2".parse().unwrap());
    call
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
        let queued = Duration::try_from(timing.queued.unwrap()).unwrap();
        assert_eq!(
            attributes["fetchd.queued"],
            queued.as_secs_f64().to_string()
        );
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
async fn requests_of_a_caller_that_left_are_cancelled() {
    let collector = Collector::new().await;
    let (origin, _gate) = gated_origin().await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    let batch = FetchBatchRequest {
        requests: requests(vec![origin.url(""); 5]),
        concurrency: 2,
        ..Default::default()
    };
    let call = client.fetch_batch(call(batch, "01"));
    let response = within_timeout(call).await.unwrap();
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
    // A label of it is too long, so no name server is asked.
    let host = format!("{}.invalid", "planted".repeat(10));
    let places = [
        origin.url("there"),
        origin.url("moved"),
        "http://127.0.0.1:1/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        format!("http://{host}/"),
    ];
    let batch = batch(places.map(request).into());
    fetch(&mut client, batch, "01").await;
    collector.wait_for(6).await;
    collector.exports(|exports| {
        for export in exports {
            let text = format!("{:?}", export.message);
            // The host of the last one is no secret.
            assert!(!text.replace(&host, "").contains("planted"), "{text}");
        }
    });
    let log = stop(service).await.concat();
    assert!(!log.replace(&host, "").contains("planted"), "{log}");
}
