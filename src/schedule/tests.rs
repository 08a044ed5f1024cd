use std::{future::poll_fn, io, net::SocketAddr};

use futures_util::future::BoxFuture;

use super::*;
use crate::{
    caller::Peer,
    net::{Addresses, Net, Network, Socket},
    request::{BatchId, EncodedRequests, InvalidRequest, Request, Requests},
};

struct Urls(Vec<String>);

impl EncodedRequests for Urls {
    fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }

    fn decode(&self, index: u32) -> Result<Request, InvalidRequest> {
        Request::new(&self.0[index as usize], "")
    }
}

/// A network that panics.
#[derive(Debug)]
struct Faulty;

impl Network for Faulty {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
        panic!("a connection to {address}")
    }

    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Addresses>> {
        panic!("a look-up of {name}")
    }
}

#[tokio::test]
async fn panic_ends_only_its_own_request() {
    let mut config = Config::default();
    config.origins.network = Net::new(Arc::new(Faulty));
    config.egress.allow_net = vec!["192.0.2.0/24".parse().unwrap()];
    let scheduler = Scheduler::new(
        &config,
        egress::Policy::new(&config.egress),
        Arc::new(Metrics::new(&config.limits)),
        HeaderValue::from_static("test"),
    );
    // There's only one worker, so it has to survive the panic to get to the last request.
    let requests = [
        "http://127.0.0.1/",
        "http://192.0.2.1/",
        "http://127.0.0.1/",
    ];
    let mut parts = scheduler.run(
        Batch {
            id: BatchId::random(),
            span: tracing::Span::none(),
            requests: Requests::new(Urls(requests.map(str::to_owned).into())),
            identity: Peer::Local.into(),
            concurrency: 1,
            arrival: Instant::now(),
            deadline: None,
        },
        None,
    );
    let mut reasons = Vec::new();
    while let Some(part) = poll_fn(|cx| parts.poll_next(cx)).await {
        let error = part.end.expect("no response").error.expect("an error");
        reasons.push((part.index, error.reason));
    }
    let blocked = Reason::Blocked;
    assert_eq!(reasons, [(0, blocked), (1, Reason::Internal), (2, blocked)]);
    assert_eq!(parts.take_unfinished(), 0);
}
