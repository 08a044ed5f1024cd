//! A connection by way of a proxy.

use std::{error::Error, sync::Arc};

use http::Uri;
use hyper_util::{client::legacy::connect::proxy, rt::TokioIo};
use tokio::net::TcpStream;
use tower::{Service, service_fn};

use super::{ConnectError, names::Names, race::race};
use crate::{config::Proxy, egress::Target};

/// Opens tunnels through a proxy.
pub(super) struct Tunnel {
    proxy: Proxy,
    names: Arc<Names>,
}

impl Tunnel {
    /// Tunnels through `proxy`, whose own name is looked up in `names`.
    pub(super) fn new(proxy: Proxy, names: Arc<Names>) -> Self {
        Self { proxy, names }
    }

    /// A connection to `target`, which has been judged. That to the proxy itself
    /// is the one that is not: the operator named it.
    pub(super) async fn open(&self, target: &Target<'_>) -> Result<TcpStream, ConnectError> {
        let dial = service_fn(|proxy: Uri| {
            let names = Arc::clone(&self.names);
            async move {
                let addresses = names.addresses(&Target::of(&proxy), |_| true).await?;
                Ok::<_, ConnectError>(TokioIo::new(race(addresses).await?))
            }
        });
        let mut tunnel = proxy::Tunnel::new(self.proxy.uri().clone(), dial);
        if let Some(authorization) = self.proxy.authorization() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        // Without a port, the tunnel would lead to 443.
        let to = Uri::builder()
            .scheme("http")
            .authority(target.to_string())
            .path_and_query("/")
            .build()
            .map_err(|error| failed(target, error))?;
        let opened = tunnel.call(to).await;
        let opened = opened.map_err(|error| failed(target, error))?;
        Ok(opened.into_inner())
    }
}

fn failed(target: &Target<'_>, source: impl Error + Send + Sync + 'static) -> ConnectError {
    ConnectError::Tunnel {
        target: target.to_string(),
        source: Box::new(source),
    }
}
