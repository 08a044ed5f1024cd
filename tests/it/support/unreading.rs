//! Origins that do not read what they are sent.

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

/// What an origin does that reads no body.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Nothing at all.
    Silent,
    /// It answers as soon as it has the head.
    Early,
    /// The same, over TLS.
    EarlyTls(TlsAcceptor),
}

/// An origin that reads no body, and keeps each connection until it is reset.
pub(crate) struct Unreading {
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

impl Unreading {
    /// An origin whose connections hold about `buffer` bytes that were not read.
    pub(crate) async fn new(manner: Manner, buffer: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(buffer).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let of_all = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (counts, manner) = (Arc::clone(&of_all), manner.clone());
                counts.opened.fetch_add(1, SeqCst);
                let open = counts.open.fetch_add(1, SeqCst) + 1;
                counts.peak.fetch_max(open, SeqCst);
                tokio::spawn(async move {
                    unread(stream, manner).await;
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

    /// How many connections were accepted.
    pub(crate) fn opened(&self) -> usize {
        self.counts.opened.load(SeqCst)
    }

    /// How many of them are open.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(SeqCst)
    }

    /// The most connections that were open at once.
    pub(crate) fn peak(&self) -> usize {
        self.counts.peak.load(SeqCst)
    }

    /// A POST of `body`, tried once.
    pub(crate) fn upload(&self, scheme: &str, body: Bytes) -> Request {
        let url = format!("{scheme}://{}/", self.address);
        Request::post(url, body).max_attempts(1)
    }
}

impl Drop for Unreading {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Keeps `stream` until it is reset: an orderly end, behind bytes that nobody reads,
/// is not seen.
async fn unread(mut stream: TcpStream, manner: Manner) {
    match manner {
        Manner::Silent => {}
        Manner::Early => {
            super::request(&mut stream).await;
            let _ = stream.write_all(ANSWER).await;
        }
        Manner::EarlyTls(acceptor) => {
            let Ok(mut tls) = acceptor.accept(stream).await else {
                return;
            };
            super::request(&mut tls).await;
            let _ = tls.write_all(ANSWER).await;
            let _ = tls.flush().await;
            return reset(tls.get_ref().0).await;
        }
    }
    reset(&stream).await;
}

async fn reset(stream: &TcpStream) {
    while !stream.ready(Interest::ERROR).await.unwrap().is_error() {}
}
