//! The network below clients and servers.
//!
//! It's that of the operating system, unless they're given another [`Network`]. That's for
//! simulations, in which a client, its replicas and their origins share one process and a
//! clock that doesn't wait. See `examples/simulate`. Semantic versioning doesn't cover this
//! module.

mod listener;
mod tcp;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

pub use listener::Listener;
pub use tcp::Socket;
pub(crate) use tcp::{Tcp, socket};

/// Makes connections and looks names up.
pub trait Network: fmt::Debug + Send + Sync {
    /// Opens a TCP connection. Dropping the future cancels the attempt.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Socket>>>;

    /// Looks up the addresses of a name. A name that doesn't exist has none. Servers look
    /// up a name twice at once, for addresses of each family. Dropping the future cancels the
    /// look-up.
    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Addresses>>;
}

/// The answer to a look-up.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The addresses, in the order in which they're tried.
    pub addresses: Vec<IpAddr>,
    /// How long they may be cached.
    pub ttl: Duration,
}

/// The network of a client or a server. Default: that of the operating system.
#[derive(Debug, Clone, Default)]
pub struct Net(Option<Arc<dyn Network>>);

impl Net {
    /// Uses `network` instead of the operating system's.
    pub fn new(network: Arc<dyn Network>) -> Self {
        Self(Some(network))
    }

    /// Returns the network, unless it's that of the operating system.
    pub(crate) fn other(&self) -> Option<&Arc<dyn Network>> {
        self.0.as_ref()
    }

    /// Opens a TCP connection. Cancel-safe.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Tcp> {
        match &self.0 {
            Some(network) => network.connect(address).await.map(Tcp::Right),
            None => TcpStream::connect(address).await.map(Tcp::Left),
        }
    }
}

impl PartialEq for Net {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Net {}
