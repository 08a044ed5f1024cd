//! What callers can do to the log, and what `RUST_LOG` does.

use fetchd::{
    client::Client,
    proto::{FetchBatchRequest, FetchRequest},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Origin, Process, command::fetchd_with, raw_client, reply, requests, within_timeout,
};

/// The preface, followed by an empty SETTINGS frame.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How often each nonsensical frame is sent.
const TIMES: usize = 3000;

const PING: u8 = 6;
const ACK: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// Sends `frames`, and then waits until the service closes the connection. It does so once
/// it has read all of them, or at once.
async fn send(service: &Process, frames: &[u8]) {
    let stream = TcpStream::connect(service.address()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let bytes = [OPENING, frames].concat();
    let write = async move {
        // Both fail if the connection is already closed.
        let _ = writing.write_all(&bytes).await;
        let _ = writing.shutdown().await;
    };
    let mut answer = Vec::new();
    let _ = within_timeout(async { tokio::join!(reading.read_to_end(&mut answer), write) }).await;
}

/// Sends all kinds of nonsense. Returns the log.
async fn log_of_nonsense(rust_log: &str) -> Vec<String> {
    let service = Process::serve_with(&[], &[("RUST_LOG", rust_log)]);
    for nonsense in [
        // Acknowledges a ping that was never sent.
        frame(PING, ACK, 0, b"unasked!"),
        // An unknown type.
        frame(0xee, 0xff, 0, b"whatever"),
        // A new window, for a stream that was never opened.
        frame(8, 0, 1, b"\0\0\0\x01"),
        // A priority that depends on itself.
        frame(2, 0, 1, b"\0\0\0\x01\0"),
        // The reset of a stream that was never opened.
        frame(3, 0, 1, b"\0\0\0\x08"),
        // Data for one.
        frame(0, 0, 1, b"data"),
        // Another acknowledgement of our settings.
        frame(4, 1, 0, b""),
        // Headers that can't be decoded.
        frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff"),
        // An unfinished frame.
        b"\0\x40\0".to_vec(),
    ] {
        send(&service, &nonsense.repeat(TIMES)).await;
    }
    // Streams that are reset as soon as they're opened.
    let opened_and_reset = (0..TIMES).flat_map(|index| {
        let stream = 2 * index as u32 + 1;
        let headers = frame(1, 4, stream, b"\x83\x86\x84");
        [headers, frame(3, 0, stream, b"\0\0\0\x08")].concat()
    });
    send(&service, &opened_and_reset.collect::<Vec<_>>()).await;
    // All this mustn't have done any harm.
    let client = Client::connect(&service.url).await.unwrap();
    let denied = client.fetch_all(["http://10.0.0.1/"]).await;
    assert!(denied[0].is_err());
    service.into_log()
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsensical_frames_do_not_fill_the_log() {
    // The start, a batch, and two for the shutdown.
    let log = log_of_nonsense("info").await;
    assert!(log.len() <= 5, "{} lines: {:#?}", log.len(), &log[..5]);
    // Without the filter, there would be a line for each acknowledgement.
    let log = log_of_nonsense("info,h2=warn").await;
    println!("{} lines with h2=warn", log.len());
    assert!(log.len() > TIMES);
}

/// Fetches `urls` in a call that belongs to a trace.
async fn fetch_traced(service: &Process, urls: &[String], traceparent: &'static str) {
    let mut call = tonic::Request::new(FetchBatchRequest {
        requests: requests(urls),
        ..FetchBatchRequest::default()
    });
    let headers = call.metadata_mut();
    headers.insert("traceparent", traceparent.parse().unwrap());
    let mut client = raw_client(&service.url).await;
    let mut messages = client.fetch_batch(call).await.unwrap().into_inner();
    while messages.message().await.unwrap().is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_batches_can_be_told_apart_and_computed_with() {
    let origin = Origin::new(|_| async { reply("body") }).await;
    let service = Process::serve_with(&[], &[("RUST_LOG", "debug")]);
    let urls = [origin.url("?secret=1"), "http://10.0.0.1/".to_owned()];
    let traces = [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    ];
    for trace in traces {
        within_timeout(fetch_traced(&service, &urls, trace)).await;
    }
    let log = service.into_log();
    assert!(!log.iter().any(|line| line.contains("secret")));
    let lines: Vec<Value> = log.iter().map(|line| line.parse().unwrap()).collect();
    let ended = |message| lines.iter().filter(move |line| line["message"] == message);
    let batches: Vec<_> = ended("batch ended").collect();
    assert_ne!(batches[0]["batch"], batches[1]["batch"]);
    for (batch, trace) in batches.iter().zip(traces) {
        assert_eq!(batch["level"], "INFO");
        assert_eq!(batch["code"], "OK");
        assert_eq!(batch["requests"], 2);
        assert_eq!(batch["outcomes"], json!({"2xx": 1, "blocked": 1}));
        assert_eq!(batch["body_bytes"], 4);
        assert!(batch["duration_s"].as_f64().unwrap() > 0.0);
        let id = batch["batch"].as_str().unwrap();
        assert_eq!(id.len(), 16);
        assert_eq!(batch["trace_id"], trace[3..35]);
        assert_eq!(batch["caller"], "127.0.0.1");
        assert!(batch["peer"].as_str().unwrap().starts_with("127.0.0.1:"));

        let requests = ended("request ended").filter(|line| line["batch"] == id);
        let requests: Vec<_> = requests.collect();
        assert_eq!(requests.len(), 2);
        for line in requests {
            for shared in ["trace_id", "caller", "peer"] {
                assert_eq!(line[shared], batch[shared], "{line}");
            }
            let is_blocked = line["outcome"] == "blocked";
            assert_eq!(line["index"], u64::from(is_blocked));
            assert_eq!(line["attempts"], 1);
            assert_eq!(line["body_bytes"], if is_blocked { 0 } else { 4 });
            assert!(line["queued_s"].is_f64() && line["duration_s"].is_f64());
            assert_eq!(line["first_byte_s"].is_f64(), !is_blocked);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_refused_has_a_debug_line() {
    let service = Process::serve_with(&["--max-batch-requests", "1"], &[("RUST_LOG", "debug")]);
    let mut client = raw_client(&service.url).await;
    let batch = FetchBatchRequest {
        requests: vec![FetchRequest::default(); 2],
        ..FetchBatchRequest::default()
    };
    within_timeout(client.fetch_batch(batch)).await.unwrap_err();
    let log = service.into_log();
    let lines = log.iter().map(|line| line.parse::<Value>().unwrap());
    let refused = lines.filter(|line| line["message"] == "call ended without a batch");
    let codes: Vec<_> = refused.map(|line| line["code"].clone()).collect();
    assert_eq!(codes, ["INVALID_ARGUMENT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_rust_log_is_wrong_usage() {
    for arguments in [
        &["get", "http://10.0.0.1/"][..],
        &["health", "--server", "http://127.0.0.1:1"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        for wrong in ["nonsense", "info,h2", "h2=loud"] {
            let output = fetchd_with(arguments, &[("RUST_LOG", wrong)]).await;
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            let expected = format!(
                "error: RUST_LOG: expected a level (off, error, warn, info, debug or trace), or a \
                 list such as info,h2=debug, got \"{wrong}\"\n"
            );
            assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
        }
    }
    // The help is there in any case.
    let help = fetchd_with(&["serve", "--help"], &[("RUST_LOG", "nonsense")]).await;
    assert_eq!(help.status.code(), Some(0));
    // An empty value is the same as none.
    let service = Process::serve_with(&[], &[("RUST_LOG", "")]);
    assert!(service.into_log().len() >= 3);
}
