//! The service's two listeners: gRPC and admin.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::Context;
use tokio::net::{self, TcpListener};

use super::Args;
use crate::cli::parse::{AdminListen, ListenAddress};

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
        let grpc = Bound::at("--listen", &args.listen).await?;
        let admin = match &args.admin_listen {
            Some(AdminListen::At(address)) => Some(Bound::at("--admin-listen", address).await?),
            Some(AdminListen::Off) => None,
            None => default_admin().await,
        };
        Ok(Self { grpc, admin })
    }
}

impl Bound {
    /// Binds to the address given for `flag`.
    async fn at(flag: &str, listen: &ListenAddress) -> anyhow::Result<Self> {
        let addresses = addresses(listen).await.map_err(|error| {
            anyhow::anyhow!(
                "{flag}: expected a host name that has an address, got \"{listen}\" ({error})"
            )
        })?;
        let bound = Self::at_first(&addresses).await;
        bound.with_context(|| format!("{flag}: cannot listen on {listen}"))
    }

    /// Binds to the first of `addresses` that belongs to this machine.
    ///
    /// Other errors don't move us on to the next address. If the port of the first one is
    /// taken, for example, then whoever calls the name would reach the other process.
    async fn at_first(addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let address = listener.local_addr()?;
                    return Ok(Self { listener, address });
                }
                Err(failed) => error = failed,
            }
            if error.kind() != io::ErrorKind::AddrNotAvailable {
                break;
            }
        }
        Err(error)
    }
}

/// Returns the addresses of `listen`, IPv4 first. There's at least one.
///
/// This way, `localhost` always means the address that's our default. Which address the
/// system returns first is different from machine to machine.
async fn addresses(listen: &ListenAddress) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = match listen {
        ListenAddress::Address(address) => return Ok(vec![*address]),
        ListenAddress::Name { host, port } => (host.as_str(), *port),
    };
    let mut addresses: Vec<_> = net::lookup_host((host, port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::other("it has none"));
    }
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

/// Tries to bind the admin listener to its default address. If that fails (say, because
/// another process has the port), we only log it and start without one, since the user
/// didn't ask for it.
async fn default_admin() -> Option<Bound> {
    match Bound::at_first(&[DEFAULT_ADMIN]).await {
        Ok(admin) => Some(admin),
        Err(error) => {
            tracing::warn!("no admin listener: cannot listen on {DEFAULT_ADMIN}: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    #[tokio::test]
    async fn addresses_of_other_machines_are_passed_over() {
        let elsewhere = "192.0.2.1:0".parse().unwrap();
        let bound = Bound::at_first(&[elsewhere, local(0)]).await.unwrap();
        assert_eq!(bound.address.ip(), Ipv4Addr::LOCALHOST);
        let error = Bound::at_first(&[elsewhere]).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_even_if_there_are_other_addresses() {
        let taken = Bound::at_first(&[local(0)]).await.unwrap();
        let addresses = [taken.address, (Ipv4Addr::new(127, 0, 0, 2), 0).into()];
        let error = Bound::at_first(&addresses).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
