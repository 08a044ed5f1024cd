//! The origin of `fetchd demo`.

use std::{convert::Infallible, fmt::Display, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

/// An HTTP server on a loopback address. It waits for a while, then answers with the path
/// of the request.
pub(super) struct SlowOrigin {
    address: SocketAddr,
}

impl SlowOrigin {
    /// Starts an origin that waits for `delay` before each response. It runs until the
    /// runtime stops.
    pub(super) async fn start(delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(accept(listener, delay));
        Ok(Self { address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self, path: impl Display) -> String {
        format!("http://{}/{path}", self.address)
    }
}

async fn accept(listener: TcpListener, delay: Duration) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer(stream, delay));
    }
}

async fn answer(stream: TcpStream, delay: Duration) -> hyper::Result<()> {
    let service = service_fn(async |request: Request<Incoming>| {
        time::sleep(delay).await;
        let path = request.uri().path().to_owned();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(path)))
    });
    http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
