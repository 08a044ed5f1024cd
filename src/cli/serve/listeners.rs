//! The service's two listeners: gRPC and admin.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::net::TcpListener;

use super::Args;
use crate::cli::parse::AdminListen;

pub(super) struct Listeners {
    pub(super) grpc: Bound,
    pub(super) admin: Option<Bound>,
}

/// A listener and its bound address.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// Where the admin listener binds if the flag isn't set.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

impl Listeners {
    /// Binds the listeners given in `args`.
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

/// Tries to bind the admin listener to its default address. If that fails (say, because
/// another process has the port), we only log it and start without one, since the user
/// didn't ask for it.
async fn default_admin() -> Option<Bound> {
    match Bound::at(DEFAULT_ADMIN).await {
        Ok(admin) => Some(admin),
        Err(error) => {
            tracing::warn!("no admin listener: {error:#}");
            None
        }
    }
}
