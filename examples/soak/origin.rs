//! The origins, which answer according to the path.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

use crate::BoxError;

/// The number of origins without faults.
const HEALTHY: usize = 16;

/// The addresses of all origins. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Origins {
    healthy: Arc<Vec<String>>,
    faulty: Arc<str>,
}

impl Origins {
    /// Starts all origins. They serve until the process ends.
    ///
    /// # Errors
    ///
    /// Fails if there's no free port.
    pub(crate) async fn start() -> Result<Self, BoxError> {
        let mut healthy = Vec::new();
        for _ in 0..HEALTHY {
            healthy.push(start().await?);
        }
        Ok(Self {
            healthy: Arc::new(healthy),
            faulty: start().await?.into(),
        })
    }

    /// Returns the URL of `path` at one of the healthy origins.
    pub(crate) fn url(&self, position: usize, path: &str) -> String {
        let address = &self.healthy[position % HEALTHY];
        format!("http://{address}/{path}")
    }

    /// Returns the URL of `path` at the origin for faults.
    pub(crate) fn faulty_url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.faulty)
    }
}

/// Starts an origin, and returns its address.
async fn start() -> Result<String, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
                // The process has no file descriptor left for now.
                Err(_) => time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(address.to_string())
}

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| response("200 OK", "", &[b's'; 1 << 10]));
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| response("200 OK", "", &[b'l'; 256 << 10]));
static CHUNKED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let chunk = [b"800\r\n", &[b'c'; 0x800][..], b"\r\n"].concat();
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    [&head[..], &chunk, &chunk, b"0\r\n\r\n"].concat()
});
static REDIRECT: LazyLock<Vec<u8>> =
    LazyLock::new(|| response("302 Found", "location: /small\r\n", b""));
static BUSY: LazyLock<Vec<u8>> = LazyLock::new(|| response("503 Busy", "", b""));
static GZIP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let encoded = encoder
        .write_all(&b"a line of text that repeats\n".repeat(300))
        .and_then(|()| encoder.finish());
    let encoded = encoded.expect("writing to memory cannot fail");
    response("200 OK", "content-encoding: gzip\r\n", &encoded)
});

/// Returns the bytes of a response.
fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Answers the requests of one connection.
async fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4 << 10);
    while let Some(length) = read_request(&mut stream, &mut buffer).await {
        let (answer, is_last): (&[u8], bool) = match path(&buffer) {
            b"/large" => (&LARGE, false),
            b"/chunked" => (&CHUNKED, false),
            b"/gzip" => (&GZIP, false),
            b"/redirect" => (&REDIRECT, false),
            b"/busy" => (&BUSY, false),
            b"/slow" => {
                time::sleep(Duration::from_millis(200)).await;
                (&SMALL, false)
            }
            b"/reset" => {
                let _ = stream.set_zero_linger();
                return;
            }
            b"/empty" => return,
            b"/garbage" => (b"garbage\r\n\r\n", true),
            b"/cut" => (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut", true),
            _ => (&SMALL, false),
        };
        if stream.write_all(answer).await.is_err() || is_last {
            return;
        }
        buffer.drain(..length);
    }
}

/// Reads a request into `buffer`, and returns its length, or `None` at the end of the
/// connection.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        let end = buffer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let length = end + 4 + content_length(&buffer[..end]);
            if length <= buffer.len() {
                return Some(length);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns the length of the body that follows `head`.
fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length: ";
    let lines = head.split(|byte| *byte == b'\n');
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let value = values.next().and_then(|value| str::from_utf8(value).ok());
    value.map_or(0, |value| value.trim().parse().unwrap_or(0))
}

/// Returns the path of a request.
fn path(request: &[u8]) -> &[u8] {
    let mut words = request.split(|byte| *byte == b' ');
    words.nth(1).unwrap_or_default()
}
