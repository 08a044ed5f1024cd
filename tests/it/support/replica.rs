//! Replicas that are not what a client expects, and ways to one that are bad.

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

/// How a replica answers that is not a fetchd, or a broken one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// UNIMPLEMENTED, as a gRPC server without the service.
    Unimplemented,
    /// HTTP 404, as another web server.
    NotFound,
    /// OK without a single part.
    Nothing,
    /// An end without trailers.
    NoTrailers,
    /// Bytes that are no messages.
    Garbage,
    /// `RST_STREAM` with `NO_ERROR`, after the head.
    Reset,
    /// `RST_STREAM` with `REFUSED_STREAM`.
    Refused,
    /// GOAWAY for the first call already.
    GoAway,
    /// Nothing, though it answers pings.
    Silent,
}

impl Wrong {
    /// Those that answer.
    pub(crate) const ANSWERING: [Self; 8] = [
        Self::Unimplemented,
        Self::NotFound,
        Self::Nothing,
        Self::NoTrailers,
        Self::Garbage,
        Self::Reset,
        Self::Refused,
        Self::GoAway,
    ];

    /// Returns true if a client can tell that nothing was dispatched.
    pub(crate) fn dispatches_nothing(self) -> bool {
        matches!(
            self,
            Self::Unimplemented | Self::NotFound | Self::Refused | Self::GoAway
        )
    }
}

/// Something that listens, until it is dropped.
pub(crate) struct Listening {
    pub(crate) url: String,
    accepting: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Starts a replica that is `wrong`.
pub(crate) async fn wrong(wrong: Wrong) -> Listening {
    listening(move |stream| async move {
        match wrong {
            Wrong::GoAway => go_away(stream).await,
            _ => answer_calls(stream, wrong).await,
        }
    })
    .await
}

/// Starts a way to `replica` that is cut after `bytes` of responses.
pub(crate) async fn cutting(replica: SocketAddr, bytes: usize) -> Listening {
    listening(move |near| async move {
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

/// Starts a way to `replica` on which each piece takes `delay` longer.
pub(crate) async fn delaying(replica: SocketAddr, delay: Duration) -> Listening {
    listening(move |near| async move {
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

async fn listening<F, Fut>(serve: F) -> Listening
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
    Listening { url, accepting }
}

async fn answer_calls(stream: TcpStream, wrong: Wrong) -> std::io::Result<()> {
    let broken = |error: h2::Error| std::io::Error::other(error);
    let mut connection = h2::server::handshake(stream).await.map_err(broken)?;
    let mut held = Vec::new();
    while let Some(call) = connection.accept().await {
        let (request, respond) = call.map_err(broken)?;
        held.extend(answer(respond, wrong).map_err(broken)?);
        if wrong == Wrong::Silent {
            held.push(Held::Request(Box::new(request)));
        }
    }
    Ok(())
}

/// What must not be dropped for a call to stay open.
enum Held {
    #[allow(dead_code)]
    Request(Box<http::Request<h2::RecvStream>>),
    #[allow(dead_code)]
    Response(SendResponse<Bytes>),
}

fn answer(mut respond: SendResponse<Bytes>, wrong: Wrong) -> Result<Option<Held>, h2::Error> {
    let head = |status: u16| {
        let head = Response::builder().status(status);
        head.header("content-type", "application/grpc")
            .body(())
            .unwrap()
    };
    match wrong {
        Wrong::Unimplemented => {
            let mut head = head(200);
            head.headers_mut()
                .insert("grpc-status", "12".parse().unwrap());
            respond.send_response(head, true)?;
        }
        Wrong::NotFound => {
            let head = Response::builder().status(404).body(()).unwrap();
            respond.send_response(head, true)?;
        }
        Wrong::Nothing => {
            let mut body = respond.send_response(head(200), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            body.send_trailers(trailers)?;
        }
        Wrong::NoTrailers => {
            respond.send_response(head(200), true)?;
        }
        Wrong::Garbage => {
            let mut body = respond.send_response(head(200), false)?;
            body.send_data(Bytes::from_static(&[0x7f; 64]), true)?;
        }
        Wrong::Reset => {
            let mut body = respond.send_response(head(200), false)?;
            body.send_reset(Reason::NO_ERROR);
        }
        Wrong::Refused => respond.send_reset(Reason::REFUSED_STREAM),
        Wrong::Silent => return Ok(Some(Held::Response(respond))),
        Wrong::GoAway => unreachable!("it is served by hand"),
    }
    Ok(None)
}

/// Opens the connection, and ends it when the first call comes, which it says it
/// has not looked at (RFC 9113, 6.8).
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
