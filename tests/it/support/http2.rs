//! A caller that speaks gRPC by hand, for what no client would do.

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

/// A connection, and the task that ends with it.
pub(crate) async fn connect(to: &str) -> (SendRequest<Body>, JoinHandle<Result<(), hyper::Error>>) {
    let address: SocketAddr = to.trim_start_matches("http://").parse().unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let builder = http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// A call of `FetchBatch` with `body`.
pub(crate) fn call(body: Body) -> Request<Body> {
    Request::post("http://in.test/fetchd.v1.FetchService/FetchBatch")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// A message of gRPC, with its prefix.
pub(crate) fn message(batch: &FetchBatchRequest) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(batch.encoded_len()).unwrap());
    batch.encode(&mut bytes).unwrap();
    bytes.freeze()
}

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    let body = http_body_util::Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed()
}

/// The gRPC code of a response, and the message with it.
pub(crate) async fn status(response: Response<Incoming>) -> (String, String) {
    let (head, body) = response.into_parts();
    let of = |headers: &HeaderMap| {
        let value = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Some((
            value("grpc-status")?,
            value("grpc-message").unwrap_or_default(),
        ))
    };
    if let Some(status) = of(&head.headers) {
        return status;
    }
    let body = body.collect().await.unwrap();
    body.trailers().and_then(of).unwrap()
}
