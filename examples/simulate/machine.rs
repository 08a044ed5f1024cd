//! A machine's view of the network.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use fetchd::net::{Addresses, Listener, Net, Socket};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::{Mutex, mpsc};

use crate::{link::SimSocket, network::Network};

/// A machine with one address.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    network: Arc<Network>,
    pub(crate) ip: IpAddr,
}

/// The listener of a machine. Dropping it refuses further connections.
pub(crate) struct SimListener {
    network: Arc<Network>,
    address: SocketAddr,
    accepted: Mutex<mpsc::Receiver<(SimSocket, SocketAddr)>>,
}

impl Machine {
    pub(crate) fn new(network: &Arc<Network>, ip: IpAddr) -> Self {
        Self {
            network: Arc::clone(network),
            ip,
        }
    }

    /// Returns the network as fetchd's clients and servers on this machine see it.
    pub(crate) fn net(&self) -> Net {
        Net::new(Arc::new(self.clone()))
    }

    pub(crate) fn listen(&self, port: u16) -> SimListener {
        let address = SocketAddr::new(self.ip, port);
        SimListener {
            network: Arc::clone(&self.network),
            address,
            accepted: Mutex::new(self.network.listen(address)),
        }
    }
}

impl fetchd::net::Network for Machine {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
        let connecting = Arc::clone(&self.network).connect(self.ip, address);
        async { Ok(Box::new(connecting.await?) as Box<dyn Socket>) }.boxed()
    }

    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Addresses>> {
        Arc::clone(&self.network)
            .look_up(self.ip, name.to_owned())
            .boxed()
    }
}

impl Listener for SimListener {
    type Stream = SimSocket;

    async fn accept(&self) -> io::Result<(SimSocket, SocketAddr)> {
        let accepted = self.accepted.lock().await.recv().await;
        accepted.ok_or(io::ErrorKind::NotConnected.into())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn close(mut self) -> Vec<(SimSocket, SocketAddr)> {
        self.network.stop_listening(self.address);
        let accepted = self.accepted.get_mut();
        std::iter::from_fn(|| accepted.try_recv().ok()).collect()
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.network.stop_listening(self.address);
    }
}
