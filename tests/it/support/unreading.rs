//! Origins that never read a request body.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use fetchd::client::Request;
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// How such an origin answers.
#[derive(Clone)]
pub(crate) enum EarlyAnswer {
    /// Not at all.
    Never,
    /// As soon as it has read the head.
    Plain,
    /// Over TLS, as soon as it has read the head.
    Tls(TlsAcceptor),
}

/// An origin that doesn't read request bodies. It keeps a connection until the peer
/// resets it.
pub(crate) struct StalledOrigin {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    open: AtomicUsize,
    peak: AtomicUsize,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

impl StalledOrigin {
    /// Starts an origin. Its receive buffers hold about `buffer` bytes each.
    pub(crate) async fn new(answer: EarlyAnswer, buffer: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(buffer).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (counts, answer) = (Arc::clone(&shared), answer.clone());
                counts.opened.fetch_add(1, SeqCst);
                let open = counts.open.fetch_add(1, SeqCst) + 1;
                counts.peak.fetch_max(open, SeqCst);
                tokio::spawn(async move {
                    serve(stream, answer).await;
                    counts.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Self {
            address,
            counts,
            accepting,
        }
    }

    /// Returns how many connections it has accepted.
    pub(crate) fn opened(&self) -> usize {
        self.counts.opened.load(SeqCst)
    }

    /// Returns how many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(SeqCst)
    }

    /// Returns how many connections have been open at once, at most.
    pub(crate) fn peak(&self) -> usize {
        self.counts.peak.load(SeqCst)
    }

    /// Returns a POST of `body` to this origin. There's only a single attempt.
    pub(crate) fn upload(&self, scheme: &str, body: Bytes) -> Request {
        let url = format!("{scheme}://{}/", self.address);
        Request::post(url, body).max_attempts(1)
    }
}

impl Drop for StalledOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Keeps `stream` open until the peer resets it. We wouldn't notice a FIN, since there
/// are bytes before it that we never read.
async fn serve(mut stream: TcpStream, answer: EarlyAnswer) {
    match answer {
        EarlyAnswer::Never => {}
        EarlyAnswer::Plain => {
            super::read_head(&mut stream).await;
            let _ = stream.write_all(ANSWER).await;
        }
        EarlyAnswer::Tls(acceptor) => {
            let Ok(mut tls) = acceptor.accept(stream).await else {
                return;
            };
            super::read_head(&mut tls).await;
            let _ = tls.write_all(ANSWER).await;
            let _ = tls.flush().await;
            return wait_for_reset(tls.get_ref().0).await;
        }
    }
    wait_for_reset(&stream).await;
}

async fn wait_for_reset(stream: &TcpStream) {
    while !stream.ready(Interest::ERROR).await.unwrap().is_error() {}
}
