//! Callers that connect from a specific address. One of them writes HTTP/2 frames by
//! hand.

use std::{io, net::IpAddr, time::Duration};

use bytes::{BufMut, Bytes};
use fetchd::proto::{FetchBatchRequest, fetch_service_client::FetchServiceClient};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::Instant,
};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::{http2::Body, within_timeout};

/// Returns 127.0.0.`last`.
pub(crate) fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// Opens a TCP connection from the address `from` to the service at `url`.
pub(crate) async fn stream(url: &str, from: IpAddr) -> io::Result<TcpStream> {
    let to = url.trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens a tonic channel from the address `from`. It has a single connection.
pub(crate) async fn channel(url: &str, from: IpAddr) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    let url = url.to_owned();
    let connector = service_fn(move |_| {
        let url = url.clone();
        async move { stream(&url, from).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await
}

/// Returns the generated client, which has a single connection from the address `from`.
pub(crate) async fn client(url: &str, from: IpAddr) -> FetchServiceClient<Channel> {
    FetchServiceClient::new(channel(url, from).await.unwrap())
}

/// Fetches a batch, and returns the time that it took. Panics if a request fails.
pub(crate) async fn fetch(
    client: &mut FetchServiceClient<Channel>,
    batch: FetchBatchRequest,
) -> Duration {
    let count = batch.requests.len();
    let begun = Instant::now();
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let mut ends = 0;
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        for end in message.parts.into_iter().filter_map(|part| part.end) {
            assert_eq!(end.error, None);
            ends += 1;
        }
    }
    assert_eq!(ends, count);
    begun.elapsed()
}

/// Opens a hyper connection from the address `from`. The task drives it until it's
/// closed.
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

/// An HTTP/2 connection. The test writes every single frame itself.
pub(crate) struct FrameWriter {
    write: OwnedWriteHalf,
    /// Counts the pings that were acknowledged. It's closed when the connection is.
    pongs: watch::Receiver<usize>,
    pings_sent: usize,
}

/// Frame types (RFC 9113, 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Frame flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

impl FrameWriter {
    /// Opens a connection from the address `from`. Except for the answers to our pings,
    /// we ignore whatever the service sends.
    pub(crate) async fn open(url: &str, from: IpAddr) -> Self {
        let (mut read, mut write) = stream(url, from).await.unwrap().into_split();
        let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        put_frame(SETTINGS, 0, 0, &[], &mut opening);
        write.write_all(&opening).await.unwrap();
        let (counter, pongs) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((kind, flags)) = skip_frame(&mut read).await {
                let is_pong = kind == PING && flags & ACK > 0;
                counter.send_modify(|count| *count += usize::from(is_pong));
            }
        });
        let mut frames = Self {
            write,
            pongs,
            pings_sent: 0,
        };
        // The service sends its settings before it answers this. We need them because its
        // windows are larger than the HTTP/2 default.
        assert!(frames.ping().await);
        frames
    }

    /// Waits until the service has processed everything we've written so far. Returns
    /// false if the connection was closed.
    pub(crate) async fn ping(&mut self) -> bool {
        let mut frame = Vec::new();
        put_frame(PING, 0, 0, &[0; 8], &mut frame);
        self.pings_sent += 1;
        let sent = self.pings_sent;
        if self.write.write_all(&frame).await.is_err() {
            return false;
        }
        self.pongs.wait_for(|count| *count >= sent).await.is_ok()
    }

    /// Starts a `FetchBatch` call on `stream`, which has to be an odd number.
    pub(crate) async fn start_call(&mut self, stream: u32) -> io::Result<()> {
        let mut frame = Vec::new();
        let block = header_block("/fetchd.v1.FetchService/FetchBatch", &[]);
        put_frame(HEADERS, END_HEADERS, stream, &block, &mut frame);
        self.write_all(&frame).await
    }

    /// Writes any bytes.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await
    }

    /// Writes `bytes` as DATA frames, with a payload of `size` bytes each.
    pub(crate) async fn send_data(
        &mut self,
        stream: u32,
        bytes: &[u8],
        size: usize,
    ) -> io::Result<()> {
        for bytes in bytes.chunks(4096 * size) {
            let mut frames = Vec::with_capacity(bytes.len() * 10 / size);
            for payload in bytes.chunks(size) {
                put_frame(DATA, 0, stream, payload, &mut frames);
            }
            self.write.write_all(&frames).await?;
        }
        Ok(())
    }

    /// Half-closes `stream`.
    pub(crate) async fn end_stream(&mut self, stream: u32) -> io::Result<()> {
        let mut frame = Vec::new();
        put_frame(DATA, END_STREAM, stream, &[], &mut frame);
        self.write.write_all(&frame).await
    }

    /// Waits until the service closes the connection.
    pub(crate) async fn closed(&mut self) {
        let _ = self.pongs.wait_for(|_| false).await;
    }
}

/// Reads a frame and throws it away. Returns its type and flags.
async fn skip_frame(read: &mut OwnedReadHalf) -> io::Result<(u8, u8)> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    read.read_exact(&mut vec![0; length as usize]).await?;
    Ok((head[3], head[4]))
}

/// Returns the header block of a call to `path`, with some additional headers (RFC 7541).
/// Nothing in it is compressed.
pub(crate) fn header_block(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    // `:method: POST` and `:scheme: http`, from the static table.
    let mut block = vec![0x83, 0x86];
    let usual = [
        (":path", path),
        (":authority", "in.test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in usual.iter().chain(headers) {
        block.put_u8(0);
        for text in [name, value] {
            // The length is an integer with a prefix of 7 bits.
            if text.len() < 127 {
                block.put_u8(text.len() as u8);
            } else {
                block.put_u8(127);
                prost::encoding::encode_varint((text.len() - 127) as u64, &mut block);
            }
            block.put_slice(text.as_bytes());
        }
    }
    block
}

pub(crate) fn put_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// Returns the gRPC prefix for a message of `length` bytes, followed by `bytes`. Those
/// may be just the beginning of the message.
pub(crate) fn length_prefixed(length: usize, bytes: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(5 + bytes.len());
    message.put_u8(0);
    message.put_u32(length as u32);
    message.put_slice(bytes);
    message.into()
}
