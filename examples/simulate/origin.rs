//! Origins: web servers that answer late, wrongly, or not at all.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fetchd::net::Listener as _;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    task::JoinSet,
    time,
};

use crate::{
    body,
    link::SimSocket,
    machine::{Machine, SimListener},
    oracle::Oracle,
};

/// A web server.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) host: String,
    pub(crate) behavior: Behavior,
}

/// How an origin behaves.
#[derive(Debug, Clone)]
pub(crate) struct Behavior {
    /// How long it takes to answer, in milliseconds.
    pub(crate) latency: Range<u64>,
    /// How many of 100 requests meet a fault.
    pub(crate) faults: u32,
    /// How many of 100 responses end a connection without notice.
    pub(crate) closes: u32,
    /// How large bodies are.
    pub(crate) body: Range<usize>,
    /// Where it redirects to now and then.
    pub(crate) redirects_to: Option<String>,
}

/// How a request is answered.
enum Answer {
    Complete {
        status: u16,
        is_chunked: bool,
    },
    /// A body that ends with the connection.
    UntilClose,
    Redirect(String),
    /// Another response right behind the first.
    Twice,
    Slow,
    Cut,
    Garbage,
    Reset,
    Close,
    Never,
}

/// What all connections of an origin share.
struct Shared {
    origin: Origin,
    oracle: Arc<Oracle>,
    exchanges: Arc<AtomicU64>,
}

/// A request, as far as an origin looks at it.
struct Received {
    id: usize,
    is_close: bool,
}

impl Behavior {
    /// An origin that nothing is wrong with.
    pub(crate) fn healthy(rng: &mut fastrand::Rng) -> Self {
        let slowest = rng.u64(2..300);
        Self {
            latency: 1..slowest,
            faults: 0,
            closes: 0,
            body: 0..most_bytes(rng).min(20_000),
            redirects_to: None,
        }
    }

    pub(crate) fn faulty(rng: &mut fastrand::Rng) -> Self {
        Self {
            latency: 1..rng.u64(2..2_000),
            faults: rng.u32(..60),
            closes: if rng.bool() { 0 } else { rng.u32(..60) },
            body: 0..most_bytes(rng),
            redirects_to: None,
        }
    }

    /// Returns true if nothing is wrong with the origin.
    pub(crate) fn is_healthy(&self) -> bool {
        self.faults == 0 && self.closes == 0
    }

    fn answer(&self) -> Answer {
        let rolls = |percent| fastrand::u32(..100) < percent;
        if rolls(self.faults) {
            return match fastrand::u32(..9) {
                0 => Answer::Slow,
                1 => Answer::Cut,
                2 => Answer::Garbage,
                3 => Answer::Reset,
                4 => Answer::Close,
                5 => Answer::Never,
                6 => Answer::Twice,
                _ => Answer::Complete {
                    status: [429, 500, 503, 504][fastrand::usize(..4)],
                    is_chunked: fastrand::bool(),
                },
            };
        }
        match &self.redirects_to {
            Some(url) if rolls(20) => Answer::Redirect(url.clone()),
            _ if rolls(5) => Answer::UntilClose,
            _ => Answer::Complete {
                status: if rolls(5) { 404 } else { 200 },
                is_chunked: rolls(30),
            },
        }
    }
}

/// How many bytes every connection takes at once.
const ONE_WRITE: usize = 16 << 10;

/// How large the bodies of an origin are at most.
fn most_bytes(rng: &mut fastrand::Rng) -> usize {
    let most = [400, 400, 400, 20_000, 20_000, 100_000, 1_000_000][rng.usize(..7)];
    rng.usize(1..most)
}

impl Origin {
    /// Answers at port 80 of `machine`, until the future is dropped.
    pub(crate) async fn serve(
        self,
        machine: Machine,
        oracle: Arc<Oracle>,
        exchanges: Arc<AtomicU64>,
    ) {
        let listener: SimListener = machine.listen(80);
        let shared = Arc::new(Shared {
            origin: self,
            oracle,
            exchanges,
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // It fails once the process has crashed, which ends this as well.
                    let Ok((socket, peer)) = accepted else { return };
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        // Whatever fails, fails for the service as well.
                        let _ = shared.converse(socket, peer).await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

impl Shared {
    /// Answers the requests of a connection.
    async fn converse(&self, socket: SimSocket, peer: SocketAddr) -> io::Result<()> {
        let link = Arc::clone(socket.link());
        let mut stream = BufReader::new(socket);
        let mut written = 0;
        loop {
            let Some(request) = receive(&mut stream).await? else {
                return Ok(());
            };
            let number = self.exchanges.fetch_add(1, Ordering::Relaxed);
            self.oracle.received(request.id, number, peer.ip(), &link);
            let answered = self.answer(&request, number, &mut written, stream.get_mut());
            let keeps = answered.await.unwrap_or(false);
            if !keeps || request.is_close {
                self.oracle.answered(number, None);
                return Ok(());
            }
        }
    }

    /// Answers a request. Returns true if the connection stays open.
    async fn answer(
        &self,
        request: &Received,
        number: u64,
        written: &mut u64,
        stream: &mut SimSocket,
    ) -> io::Result<bool> {
        let behavior = &self.origin.behavior;
        let latency = fastrand::u64(behavior.latency.clone());
        time::sleep(Duration::from_millis(latency)).await;
        let answer = behavior.answer();
        let status = match answer {
            Answer::Complete { status, .. } => status,
            _ => 200,
        };
        let mut size = fastrand::usize(behavior.body.clone());
        if matches!(answer, Answer::Twice) {
            // Both arrive at once then. If the second comes after the next request was written,
            // it's taken for its answer, a known limit (see ARCHITECTURE.md).
            size = size.min(ONE_WRITE / 3);
        }
        let body = body::of(request.id, status, size);
        let bytes = match &answer {
            Answer::Complete { status, is_chunked } => response(*status, &body, *is_chunked),
            Answer::UntilClose => [b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat(),
            Answer::Redirect(url) => {
                let id = request.id;
                self.oracle.redirected(id);
                format!("HTTP/1.1 307 There\r\nlocation: {url}/{id}\r\ncontent-length: 0\r\n\r\n")
                    .into_bytes()
            }
            Answer::Twice => response(200, &body, false).repeat(2),
            Answer::Slow | Answer::Cut => response(200, &body, fastrand::bool()),
            Answer::Garbage => b"garbage\r\n\r\n".to_vec(),
            Answer::Reset | Answer::Close | Answer::Never => Vec::new(),
        };
        let whole = match answer {
            Answer::UntilClose | Answer::Cut => None,
            Answer::Twice => Some(bytes.len() / 2),
            _ => Some(bytes.len()),
        };
        if let Some(length) = whole.filter(|length| *length > 0) {
            self.oracle.answered(number, Some(*written + length as u64));
        }
        match answer {
            Answer::Slow => {
                let size = (bytes.len() / fastrand::usize(2..20)).max(1);
                for piece in bytes.chunks(size) {
                    stream.write_all(piece).await?;
                    time::sleep(Duration::from_millis(fastrand::u64(..1_000))).await;
                }
            }
            Answer::Cut => {
                stream
                    .write_all(&bytes[..fastrand::usize(..bytes.len())])
                    .await?;
                return Ok(false);
            }
            Answer::Reset => {
                fetchd::net::Socket::reset_on_drop(stream);
                return Ok(false);
            }
            Answer::Close => return Ok(false),
            Answer::Never => {
                // Until the service gives up.
                let _ = stream.read_u8().await;
                return Ok(false);
            }
            _ => stream.write_all(&bytes).await?,
        }
        *written += bytes.len() as u64;
        if matches!(answer, Answer::UntilClose | Answer::Twice | Answer::Garbage)
            || fastrand::u32(..100) < behavior.closes
        {
            return Ok(false);
        }
        Ok(true)
    }
}

/// Reads the next request, with its body. Returns `None` if there isn't any.
async fn receive(stream: &mut BufReader<SimSocket>) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let id = path.trim_start_matches('/').parse().unwrap_or(usize::MAX);
    let (mut length, mut is_close) = (0, false);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let lower = line.trim_end().to_ascii_lowercase();
        match lower.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(("connection", "close")) => is_close = true,
            _ if lower.is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Received { id, is_close }))
}

fn response(status: u16, body: &[u8], is_chunked: bool) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Status\r\n").into_bytes();
    if !is_chunked {
        bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).into_bytes());
        bytes.extend(body);
        return bytes;
    }
    bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
    for chunk in body.chunks(1_000) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// The address of an origin's `number`th machine.
pub(crate) fn address(origin: usize, number: usize) -> IpAddr {
    let [origin, number] = [origin, number].map(|one| u8::try_from(one % 250).unwrap_or(0) + 1);
    IpAddr::from([203, 0, number, origin])
}
