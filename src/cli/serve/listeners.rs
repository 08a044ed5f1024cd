//! The two listeners of the service: gRPC and admin.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::net::TcpListener;

use super::Args;
use crate::cli::parse::AdminListen;

/// The listeners of one process.
pub(super) struct Listeners {
    pub(super) grpc: Bound,
    pub(super) admin: Option<Bound>,
}

/// A listener and the address that it is bound to.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// The default address of the admin listener.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

impl Listeners {
    /// Binds the listeners that `args` name.
    pub(super) async fn bind(args: &Args) -> anyhow::Result<Self> {
        let grpc = Bound::at(args.listen).await?;
        let admin = match args.admin_listen {
            Some(AdminListen::At(address)) => Some(Bound::at(address).await?),
            Some(AdminListen::Off) => None,
            None => default_admin().await,
        };
        Ok(Self { grpc, admin })
    }
}

impl Bound {
    async fn at(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener
            .local_addr()
            .context("cannot get the address of a listener")?;
        Ok(Self { listener, address })
    }
}

/// Binds the default admin listener. A failure is logged and does not stop the
/// start: another process may have the port, and the flag did not ask for it.
async fn default_admin() -> Option<Bound> {
    match Bound::at(DEFAULT_ADMIN).await {
        Ok(admin) => Some(admin),
        Err(error) => {
            tracing::warn!("no admin listener: {error:#}");
            None
        }
    }
}
