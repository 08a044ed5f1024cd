//! Origins that answer in many ways.

use std::{
    io::{self, Write},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use fetchd::client::Request;
use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

/// Two origins: one is well, the other one breaks connections. If there were only one, its
/// faults would keep the connections of all other requests from being reused.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    well: String,
    broken: String,
}

/// The requests of each thousand that aren't for a small body, and the path of each.
const MIX: [(u32, &str); 12] = [
    (20, "/missing"),
    (20, "/gzip"),
    (20, "/chunked"),
    (10, "/redirect"),
    (10, "/large"),
    (5, "/slow"),
    (2, "/reset"),
    (2, "/empty"),
    (2, "/garbage"),
    (2, "/cut"),
    (2, "/busy"),
    (1, "/huge"),
];

/// How many of a thousand requests are POSTs.
const POSTS: u32 = 50;

/// How long a slow answer takes.
const SLOW: Duration = Duration::from_millis(200);

impl Origin {
    /// Starts both origins. They run until the process ends.
    pub(crate) async fn start() -> io::Result<Self> {
        let well = TcpListener::bind("127.0.0.1:0").await?;
        let broken = TcpListener::bind("127.0.0.1:0").await?;
        let [well_url, broken_url] =
            [well.local_addr()?, broken.local_addr()?].map(|address| format!("http://{address}"));
        for listener in [well, broken] {
            tokio::spawn(accept(listener));
        }
        Ok(Self {
            well: well_url,
            broken: broken_url,
        })
    }

    /// Makes up a request.
    pub(crate) fn request(&self, rng: &mut fastrand::Rng) -> Request {
        let mut number = rng.u32(..1_000);
        let special = MIX.iter().find(|(share, _)| {
            let is_here = number < *share;
            number = number.saturating_sub(*share);
            is_here
        });
        let (base, path) = match special {
            Some((_, path @ ("/reset" | "/empty" | "/garbage" | "/cut"))) => (&self.broken, *path),
            Some((_, path)) => (&self.well, *path),
            None if rng.u32(..1_000) < POSTS => {
                return Request::post(format!("{}/small", self.well), vec![b'x'; 500]);
            }
            None => (&self.well, "/small"),
        };
        Request::get(format!("{base}{path}")).max_attempts(2)
    }
}

async fn accept(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream))),
            // Most likely there's no file descriptor left for now.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Answers the requests of a connection.
async fn converse(mut stream: TcpStream) {
    let mut received = BytesMut::new();
    // If it breaks, the service has a failed request, which is counted there.
    while let Ok(Some(path)) = receive(&mut stream, &mut received).await {
        if !matches!(answer(&mut stream, &path).await, Ok(true)) {
            return;
        }
    }
}

/// Reads a request. Returns its path, or `None` at the end.
async fn receive(stream: &mut TcpStream, received: &mut BytesMut) -> io::Result<Option<String>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(head)) = request.parse(received) {
            let path = request.path.unwrap_or_default().to_owned();
            let mut headers = request.headers.iter();
            let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length = length.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
            let whole = head + length.unwrap_or(0);
            while received.len() < whole {
                if stream.read_buf(received).await? == 0 {
                    return Ok(None);
                }
            }
            received.advance(whole);
            return Ok(Some(path));
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

/// Answers a request. Returns true if the connection stays open.
async fn answer(stream: &mut TcpStream, path: &str) -> io::Result<bool> {
    let (bytes, stays_open): (Bytes, bool) = match path {
        "/large" => (with_length("200 OK", &vec![b'x'; 100 << 10]), true),
        "/huge" => (with_length("200 OK", &vec![b'x'; 2 << 20]), true),
        "/missing" => (with_length("404 Missing", b"missing"), true),
        "/busy" => (with_length("503 Busy", b""), true),
        "/gzip" => (gzip()?, true),
        "/chunked" => {
            let chunks = "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n0\r\n\r\n";
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            ((head.to_owned() + &chunks).into(), true)
        }
        "/redirect" => {
            let head = "HTTP/1.1 302 Found\r\nlocation: /small\r\ncontent-length: 0\r\n\r\n";
            (Bytes::from_static(head.as_bytes()), true)
        }
        "/slow" => {
            time::sleep(SLOW).await;
            (with_length("200 OK", b"slow"), true)
        }
        "/reset" => {
            stream.set_zero_linger()?;
            return Ok(false);
        }
        "/empty" => return Ok(false),
        "/garbage" => (Bytes::from_static(b"garbage\r\n\r\n"), false),
        "/cut" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut";
            (Bytes::from_static(head.as_bytes()), false)
        }
        _ => (with_length("200 OK", &[b'x'; 1024]), true),
    };
    stream.write_all(&bytes).await?;
    Ok(stays_open)
}

fn with_length(status: &str, body: &[u8]) -> Bytes {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}

fn gzip() -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&[b'x'; 10 << 10])?;
    let body = encoder.finish()?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), &body].concat().into())
}
