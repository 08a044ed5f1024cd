//! Connecting through an HTTP proxy.

use std::{error::Error, sync::Arc};

use http::Uri;
use hyper_util::{client::legacy::connect::proxy, rt::TokioIo};
use tower::{Service, service_fn};

use super::{ConnectError, happy_eyeballs, resolver::Resolver};
use crate::{
    config::Proxy,
    egress::Target,
    net::{Net, Tcp},
};

/// Opens CONNECT tunnels through a proxy.
pub(super) struct Tunnel {
    proxy: Proxy,
    network: Net,
    resolver: Arc<Resolver>,
}

impl Tunnel {
    /// Creates a tunnel through `proxy`. If the proxy is given by name, `resolver` looks
    /// it up.
    pub(super) fn new(proxy: Proxy, network: Net, resolver: Arc<Resolver>) -> Self {
        Self {
            proxy,
            network,
            resolver,
        }
    }

    /// Connects to `target` through the proxy.
    ///
    /// The caller must have checked `target` against the egress policy already. We don't
    /// check the proxy's own address, since the operator configured it.
    pub(super) async fn open(&self, target: &Target<'_>) -> Result<Tcp, ConnectError> {
        let connector = service_fn(|proxy: Uri| {
            let (network, resolver) = (self.network.clone(), Arc::clone(&self.resolver));
            async move {
                let addresses = resolver.resolve(&Target::of(&proxy), |_| true).await?;
                let tcp = happy_eyeballs::connect(&network, addresses).await?;
                Ok::<_, ConnectError>(TokioIo::new(tcp))
            }
        });
        let mut tunnel = proxy::Tunnel::new(self.proxy.uri().clone(), connector);
        if let Some(authorization) = self.proxy.authorization() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        // `Tunnel` would use port 443 if we didn't pass one, so always include it.
        let destination = Uri::builder()
            .scheme("http")
            .authority(target.to_string())
            .path_and_query("/")
            .build()
            .map_err(|error| failed(target, error))?;
        let connected = tunnel.call(destination).await;
        let stream = connected.map_err(|error| failed(target, error))?;
        Ok(stream.into_inner())
    }
}

fn failed(target: &Target<'_>, source: impl Error + Send + Sync + 'static) -> ConnectError {
    ConnectError::Tunnel {
        target: target.to_string(),
        source: Box::new(source),
    }
}
