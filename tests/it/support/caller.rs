//! Callers at addresses of their own, and a caller that writes HTTP/2 by hand.

use std::{io, net::IpAddr};

use bytes::{BufMut, Bytes};
use fetchd::proto::fetch_service_client::FetchServiceClient;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::http2::Body;

/// The address 127.0.0.`last`.
pub(crate) fn address(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// A connection to the service at `url`, from `from`.
pub(crate) async fn stream(url: &str, from: IpAddr) -> io::Result<TcpStream> {
    let to = url.trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A channel of tonic's, on one connection from `from`.
pub(crate) async fn channel(url: &str, from: IpAddr) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    let url = url.to_owned();
    let connector = service_fn(move |_| {
        let url = url.clone();
        async move { stream(&url, from).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await
}

/// The generated client, on one connection from `from`.
pub(crate) async fn client(url: &str, from: IpAddr) -> FetchServiceClient<Channel> {
    FetchServiceClient::new(channel(url, from).await.unwrap())
}

/// A connection of hyper's from `from`, and the task that ends with it.
pub(crate) async fn connect(
    url: &str,
    from: IpAddr,
) -> (
    hyper::client::conn::http2::SendRequest<Body>,
    JoinHandle<Result<(), hyper::Error>>,
) {
    let stream = TokioIo::new(stream(url, from).await.unwrap());
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// A connection on which frames are written by hand.
pub(crate) struct Frames {
    write: OwnedWriteHalf,
    /// How many pings were answered, until the connection ends.
    answered: watch::Receiver<usize>,
    asked: usize,
}

/// Types of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// Flags of frames.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Frames {
    /// Opens a connection from `from`, and reads whatever comes until its end.
    pub(crate) async fn open(url: &str, from: IpAddr) -> Self {
        let (mut read, mut write) = stream(url, from).await.unwrap().into_split();
        let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        put(SETTINGS, 0, 0, &[], &mut opening);
        write.write_all(&opening).await.unwrap();
        let (answer, answered) = watch::channel(0);
        tokio::spawn(async move {
            // Ends with the connection.
            while let Ok((kind, flags)) = skip(&mut read).await {
                let is_answer = kind == PING && flags & ACK > 0;
                answer.send_modify(|count| *count += usize::from(is_answer));
            }
        });
        let mut frames = Self {
            write,
            answered,
            asked: 0,
        };
        // Answered after the settings came: from then on more than the window of the
        // standard may be written.
        assert!(frames.ping().await);
        frames
    }

    /// Waits until the service has seen all that was written. False: the connection
    /// has ended.
    pub(crate) async fn ping(&mut self) -> bool {
        let mut frame = Vec::new();
        put(PING, 0, 0, &[0; 8], &mut frame);
        self.asked += 1;
        let asked = self.asked;
        self.write.write_all(&frame).await.is_ok()
            && self
                .answered
                .wait_for(|count| *count >= asked)
                .await
                .is_ok()
    }

    /// Begins a call of `FetchBatch` on `stream`, which is odd.
    pub(crate) async fn begin(&mut self, stream: u32) -> io::Result<()> {
        let mut block = Vec::new();
        // `:method: POST` and `:scheme: http`, of the static table (RFC 7541, A).
        block.extend([0x83, 0x86]);
        for (name, value) in [
            (":path", "/fetchd.v1.FetchService/FetchBatch"),
            (":authority", "in.test"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            block.put_u8(0);
            for text in [name, value] {
                block.put_u8(text.len() as u8);
                block.put_slice(text.as_bytes());
            }
        }
        let mut frame = Vec::new();
        put(HEADERS, END_HEADERS, stream, &block, &mut frame);
        self.write.write_all(&frame).await
    }

    /// Writes `bytes` as frames of DATA of `size` bytes each.
    pub(crate) async fn data(&mut self, stream: u32, bytes: &[u8], size: usize) -> io::Result<()> {
        for bytes in bytes.chunks(4096 * size) {
            let mut frames = Vec::with_capacity(bytes.len() * 10 / size);
            for payload in bytes.chunks(size) {
                put(DATA, 0, stream, payload, &mut frames);
            }
            self.write.write_all(&frames).await?;
        }
        Ok(())
    }

    /// Ends the message on `stream`.
    pub(crate) async fn end(&mut self, stream: u32) -> io::Result<()> {
        let mut frame = Vec::new();
        put(DATA, END_STREAM, stream, &[], &mut frame);
        self.write.write_all(&frame).await
    }

    /// Waits until the service has closed the connection.
    pub(crate) async fn closed(&mut self) {
        let _ = self.answered.wait_for(|_| false).await;
    }
}

/// Reads a frame, and returns its type and its flags.
async fn skip(read: &mut OwnedReadHalf) -> io::Result<(u8, u8)> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    read.read_exact(&mut vec![0; length as usize]).await?;
    Ok((head[3], head[4]))
}

fn put(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// The prefix of a message of gRPC of `length` bytes, and `bytes` of it.
pub(crate) fn prefixed(length: usize, bytes: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(5 + bytes.len());
    message.put_u8(0);
    message.put_u32(length as u32);
    message.put_slice(bytes);
    message.into()
}
