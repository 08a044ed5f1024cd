//! What callers can do to the log, and what `RUST_LOG` does.

use fetchd::client::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Process, command::fetchd_with, within_timeout};

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
