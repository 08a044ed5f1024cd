//! Runs the service in the test process, but behind a real socket.

use fetchd::{
    client::Client,
    config::{Config, Egress},
    proto::{FetchRequest, fetch_service_client::FetchServiceClient},
    server::{Server, Shutdown},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};

/// A running service. Dropping it stops the service.
pub(crate) struct Service {
    pub url: String,
    pub shutdown: Shutdown,
    pub serving: JoinHandle<std::io::Result<()>>,
}

/// Starts a service on some free port. Loopback addresses are allowed.
pub(crate) async fn service() -> Service {
    service_with(allow_loopback()).await
}

/// Starts a service with `config` on some free port.
pub(crate) async fn service_with(config: Config) -> Service {
    service_at("127.0.0.1:0", config).await
}

/// Starts a service with `config` at `address`.
pub(crate) async fn service_at(address: &str, config: Config) -> Service {
    let listener = TcpListener::bind(address).await.unwrap();
    let mut bound = listener.local_addr().unwrap();
    if bound.ip().is_unspecified() {
        bound.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{bound}");
    let shutdown = Shutdown::new();
    let server = Server::new(config).unwrap();
    let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
    Service {
        url,
        shutdown,
        serving,
    }
}

/// Returns the default config, except that loopback addresses are allowed.
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
    /// Connects our Rust client.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.url).await.unwrap()
    }

    /// Connects the generated client. It uses tonic's default settings.
    pub(crate) async fn raw_client(&self) -> FetchServiceClient<Channel> {
        raw_client(&self.url).await
    }
}

/// Returns a GET request for each of the `urls`.
pub(crate) fn requests<S: Into<String>>(urls: impl IntoIterator<Item = S>) -> Vec<FetchRequest> {
    let requests = urls.into_iter().map(|url| FetchRequest {
        url: url.into(),
        ..Default::default()
    });
    requests.collect()
}

/// Connects the generated client to `url`. It uses tonic's default settings.
pub(crate) async fn raw_client(url: &str) -> FetchServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    FetchServiceClient::new(endpoint.connect().await.unwrap())
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
