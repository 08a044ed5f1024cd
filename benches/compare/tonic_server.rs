//! A bare tonic server that answers `FetchBatch` with bodies from memory. It measures the
//! cost of gRPC alone. The query of each requested URL gives the size of its body.

use std::io::Write;

use bytes::Bytes;
use fetchd::proto::{
    FetchBatchRequest, FetchBatchResponse, FetchEnd, ResponseHead, ResultPart,
    fetch_service_server::{FetchService, FetchServiceServer},
};
use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status, service::Routes};

/// The maximum size of a part.
const PART_BYTES: u64 = 64 << 10;
/// The maximum number of parts in a message.
const PARTS_PER_MESSAGE: u64 = 4;

/// The service.
struct Memory;

/// Serves until the process is killed. Prints the address.
pub async fn run() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("the loopback address has a free port");
    println!(
        "{}",
        listener
            .local_addr()
            .expect("a bound listener has an address")
    );
    std::io::stdout()
        .flush()
        .expect("standard output is a pipe to the bench");
    let routes = Routes::new(FetchServiceServer::new(Memory)).prepare();
    loop {
        let (tcp, _) = listener.accept().await.expect("the listener works");
        let _ = tcp.set_nodelay(true);
        let routes = routes.clone();
        let service = hyper::service::service_fn(move |request| {
            tower::Service::call(&mut routes.clone(), request)
        });
        let http = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        tokio::spawn(http.serve_connection(hyper_util::rt::TokioIo::new(tcp), service));
    }
}

#[tonic::async_trait]
impl FetchService for Memory {
    type FetchBatchStream = BoxStream<'static, Result<FetchBatchResponse, Status>>;

    async fn fetch_batch(
        &self,
        request: Request<FetchBatchRequest>,
    ) -> Result<Response<Self::FetchBatchStream>, Status> {
        let requests = request.into_inner().requests;
        let bodies = stream::iter(requests)
            .enumerate()
            .flat_map(|(index, request)| {
                let size = request.url.split("size=").nth(1);
                let size = size.and_then(|size| size.parse().ok()).unwrap_or(1024);
                body(index as u32, size)
            });
        Ok(Response::new(bodies.boxed()))
    }
}

/// Returns the messages of one body of `size` bytes.
fn body(
    index: u32,
    size: u64,
) -> impl futures_util::Stream<Item = Result<FetchBatchResponse, Status>> {
    static BYTES: [u8; PART_BYTES as usize] = [b'x'; PART_BYTES as usize];

    let parts = size.div_ceil(PART_BYTES).max(1);
    let messages = parts.div_ceil(PARTS_PER_MESSAGE);
    stream::iter(0..messages).map(move |message| {
        let parts = (message * PARTS_PER_MESSAGE..((message + 1) * PARTS_PER_MESSAGE).min(parts))
            .map(|part| {
                let length = (size - part * PART_BYTES).min(PART_BYTES) as usize;
                ResultPart {
                    index,
                    head: (part == 0).then(|| ResponseHead {
                        status: 200,
                        url: "http://in.memory/".to_owned(),
                        ..ResponseHead::default()
                    }),
                    body: Bytes::from_static(&BYTES[..length]),
                    end: (part + 1 == parts).then(|| FetchEnd {
                        attempts: 1,
                        body_bytes: size,
                        ..FetchEnd::default()
                    }),
                }
            });
        Ok(FetchBatchResponse {
            parts: parts.collect(),
        })
    })
}
