//! Looks up service names.

use std::{collections::HashSet, time::Duration};

use http::{Uri, uri::Authority};
use tokio::{net, time};
use tonic::transport::Endpoint;

use crate::{
    Code,
    client::{Error, redact::redacted},
};

/// One of a service's addresses.
pub(super) struct Address {
    /// The address as text. We also use it to tell replicas apart.
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
}

/// Time limit for one look-up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Parses a service URL.
pub(super) fn parse_service_url(url: &str) -> Result<Uri, Error> {
    match url.parse::<Uri>() {
        Ok(uri) if uri.scheme_str() == Some("http") && uri.host().is_some() => Ok(uri),
        _ => Err(Error::Call {
            code: Code::InvalidArgument,
            message: format!(
                "expected a URL such as http://localhost:50051, got {:?}",
                redacted(url)
            ),
            retryable: false,
        }),
    }
}

/// Looks up the addresses of the service at `url`. Returns `None` if that fails.
pub(super) async fn resolve(url: &Uri) -> Option<Vec<Address>> {
    let host = url.host()?.trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(80);
    let found = time::timeout(TIMEOUT, net::lookup_host((host, port))).await;
    let unique: HashSet<_> = found.ok()?.ok()?.collect();
    let addresses = unique.into_iter().map(|address| {
        let name = address.to_string();
        let authority = Authority::try_from(name.as_str()).ok()?;
        let uri = Uri::builder().scheme("http").authority(authority);
        let uri = uri.path_and_query("/").build().ok()?;
        // We connect to the address, but keep sending the caller's name as `:authority`.
        let endpoint = Endpoint::from(uri).origin(url.clone());
        Some(Address { name, endpoint })
    });
    addresses.collect()
}
