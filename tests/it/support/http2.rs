//! A caller that builds its own gRPC messages, so that it can send things that no proper
//! client would.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use fetchd::proto::FetchBatchRequest;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::TcpStream, task::JoinHandle};

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// Opens an HTTP/2 connection. The task drives it until it's closed.
pub(crate) async fn connect(to: &str) -> (SendRequest<Body>, JoinHandle<Result<(), hyper::Error>>) {
    let address: SocketAddr = to.trim_start_matches("http://").parse().unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let builder = http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// Returns a `FetchBatch` call with the given `body`.
pub(crate) fn call(body: Body) -> Request<Body> {
    Request::post("http://in.test/fetchd.v1.FetchService/FetchBatch")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// Encodes `batch` as a gRPC message, including the length prefix.
pub(crate) fn message(batch: &FetchBatchRequest) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(batch.encoded_len()).unwrap());
    batch.encode(&mut bytes).unwrap();
    bytes.freeze()
}

/// Returns a body that's sent in one go.
pub(crate) fn full_body(bytes: impl Into<Bytes>) -> Body {
    let body = http_body_util::Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed()
}

/// Returns the gRPC code and message. Depending on the `response`, they're in its headers
/// or its trailers.
pub(crate) async fn status(response: Response<Incoming>) -> (String, String) {
    let (head, body) = response.into_parts();
    let parse = |headers: &HeaderMap| {
        let value = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Some((
            value("grpc-status")?,
            value("grpc-message").unwrap_or_default(),
        ))
    };
    if let Some(status) = parse(&head.headers) {
        return status;
    }
    let body = body.collect().await.unwrap();
    body.trailers().and_then(parse).unwrap()
}
