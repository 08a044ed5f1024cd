//! Replicas that give wrong answers, and proxies that disturb the connection to a
//! replica.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http::{HeaderMap, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// How a faulty replica answers calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// UNIMPLEMENTED, just like any gRPC server that doesn't have our service.
    Unimplemented,
    /// HTTP 404, just like any web server.
    NotFound,
    /// OK, but without any parts.
    NoParts,
    /// The stream ends without trailers.
    NoTrailers,
    /// Some bytes that aren't gRPC messages.
    Garbage,
    /// Response headers, and then `RST_STREAM` with `NO_ERROR`.
    Reset,
    /// `RST_STREAM` with `REFUSED_STREAM`.
    Refused,
    /// A GOAWAY that excludes even the first call.
    GoAway,
    /// No response at all. It does answer pings, though.
    Silent,
}

impl Fault {
    /// All faults except for [`Fault::Silent`].
    pub(crate) const ANSWERING: [Self; 8] = [
        Self::Unimplemented,
        Self::NotFound,
        Self::NoParts,
        Self::NoTrailers,
        Self::Garbage,
        Self::Reset,
        Self::Refused,
        Self::GoAway,
    ];

    /// Returns true if the client can tell from the answer that no request was
    /// dispatched.
    pub(crate) fn dispatches_nothing(self) -> bool {
        matches!(
            self,
            Self::Unimplemented | Self::NotFound | Self::Refused | Self::GoAway
        )
    }
}

/// A running replica or proxy. Dropping it stops it.
pub(crate) struct FakeReplica {
    pub(crate) url: String,
    accepting: JoinHandle<()>,
}

impl Drop for FakeReplica {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Starts a replica that answers all calls with `fault`.
pub(crate) async fn faulty_replica(fault: Fault) -> FakeReplica {
    listen(move |stream| async move {
        match fault {
            Fault::GoAway => go_away(stream).await,
            _ => answer_calls(stream, fault).await,
        }
    })
    .await
}

/// Starts a proxy to `replica`. It closes each connection after it has passed on `bytes`
/// bytes of responses.
pub(crate) async fn truncating_proxy(replica: SocketAddr, bytes: usize) -> FakeReplica {
    listen(move |near| async move {
        let far = TcpStream::connect(replica).await?;
        let (mut near_read, mut near_write) = near.into_split();
        let (far_read, mut far_write) = far.into_split();
        let there = tokio::io::copy(&mut near_read, &mut far_write);
        let mut back = far_read.take(bytes as u64);
        let back = tokio::io::copy(&mut back, &mut near_write);
        tokio::select! {
            _ = there => {}
            _ = back => {}
        }
        Ok(())
    })
    .await
}

/// Starts a proxy to `replica`. It waits for `delay` before it passes on any piece of
/// data.
pub(crate) async fn delaying_proxy(replica: SocketAddr, delay: Duration) -> FakeReplica {
    listen(move |near| async move {
        let far = TcpStream::connect(replica).await?;
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        let there = forward(near_read, far_write, delay);
        let back = forward(far_read, near_write, delay);
        tokio::try_join!(there, back)?;
        Ok(())
    })
    .await
}

async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    delay: Duration,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        sleep(delay).await;
        to.write_all(&buffer[..count]).await?;
    }
}

async fn listen<F, Fut>(serve: F) -> FakeReplica
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepting = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream));
        }
    });
    FakeReplica { url, accepting }
}

async fn answer_calls(stream: TcpStream, fault: Fault) -> std::io::Result<()> {
    let into_io = |error: h2::Error| std::io::Error::other(error);
    let mut connection = h2::server::handshake(stream).await.map_err(into_io)?;
    let mut open = Vec::new();
    while let Some(call) = connection.accept().await {
        let (request, respond) = call.map_err(into_io)?;
        open.extend(answer(respond, fault).map_err(into_io)?);
        if fault == Fault::Silent {
            open.push(OpenCall::Request(Box::new(request)));
        }
    }
    Ok(())
}

/// Holds both halves of a call. If either of them is dropped, the stream is reset.
enum OpenCall {
    #[allow(dead_code)]
    Request(Box<http::Request<h2::RecvStream>>),
    #[allow(dead_code)]
    Response(SendResponse<Bytes>),
}

/// Answers a call with `fault`. If the call has to stay open, returns its sending half.
fn answer(mut respond: SendResponse<Bytes>, fault: Fault) -> Result<Option<OpenCall>, h2::Error> {
    let head = |status: u16| {
        let head = Response::builder().status(status);
        head.header("content-type", "application/grpc")
            .body(())
            .unwrap()
    };
    match fault {
        Fault::Unimplemented => {
            let mut head = head(200);
            head.headers_mut()
                .insert("grpc-status", "12".parse().unwrap());
            respond.send_response(head, true)?;
        }
        Fault::NotFound => {
            let head = Response::builder().status(404).body(()).unwrap();
            respond.send_response(head, true)?;
        }
        Fault::NoParts => {
            let mut body = respond.send_response(head(200), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            body.send_trailers(trailers)?;
        }
        Fault::NoTrailers => {
            respond.send_response(head(200), true)?;
        }
        Fault::Garbage => {
            let mut body = respond.send_response(head(200), false)?;
            body.send_data(Bytes::from_static(&[0x7f; 64]), true)?;
        }
        Fault::Reset => {
            let mut body = respond.send_response(head(200), false)?;
            body.send_reset(Reason::NO_ERROR);
        }
        Fault::Refused => respond.send_reset(Reason::REFUSED_STREAM),
        Fault::Silent => return Ok(Some(OpenCall::Response(respond))),
        Fault::GoAway => unreachable!("`go_away` serves these connections"),
    }
    Ok(None)
}

/// Accepts the connection. On the first call, sends a GOAWAY which says that no call was
/// processed (RFC 9113, 6.8), and closes the connection.
async fn go_away(mut stream: TcpStream) -> std::io::Result<()> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;

    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&SETTINGS).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        if head[3] == HEADERS {
            break;
        }
    }
    stream.write_all(&GOAWAY).await?;
    super::finish(stream).await;
    Ok(())
}
