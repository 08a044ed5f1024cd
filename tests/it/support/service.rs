//! The service in the process of the test, behind a real socket.

use fetchd::{
    client::Client,
    config::{Config, Egress},
    proto::{FetchRequest, fetch_service_client::FetchServiceClient},
    server::{Server, Shutdown},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};

/// A running service.
pub(crate) struct Service {
    pub url: String,
    pub shutdown: Shutdown,
    pub serving: JoinHandle<()>,
}

/// A service that may reach the tests' origins.
pub(crate) async fn service() -> Service {
    service_with(allow_loopback()).await
}

pub(crate) async fn service_with(config: Config) -> Service {
    service_at("127.0.0.1:0", config).await
}

pub(crate) async fn service_at(address: &str, config: Config) -> Service {
    let listener = TcpListener::bind(address).await.unwrap();
    let mut own = listener.local_addr().unwrap();
    if own.ip().is_unspecified() {
        own.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{own}");
    let shutdown = Shutdown::new();
    let server = Server::new(config).unwrap();
    let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
    Service {
        url,
        shutdown,
        serving,
    }
}

/// The default configuration, with the loopback addresses opened.
pub(crate) fn allow_loopback() -> Config {
    Config {
        egress: Egress {
            allow_net: vec!["127.0.0.0/8".parse().unwrap()],
            ..Egress::default()
        },
        ..Config::default()
    }
}

impl Service {
    /// The Rust client.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.url).await.unwrap()
    }

    /// The generated client, on a connection of its own with gRPC's usual
    /// settings.
    pub(crate) async fn raw_client(&self) -> FetchServiceClient<Channel> {
        raw_client(&self.url).await
    }
}

/// GETs of `urls`, as messages.
pub(crate) fn requests<S: Into<String>>(urls: impl IntoIterator<Item = S>) -> Vec<FetchRequest> {
    let requests = urls.into_iter().map(|url| FetchRequest {
        url: url.into(),
        ..Default::default()
    });
    requests.collect()
}

pub(crate) async fn raw_client(url: &str) -> FetchServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    FetchServiceClient::new(endpoint.connect().await.unwrap())
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
