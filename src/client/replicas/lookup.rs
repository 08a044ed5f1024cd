//! The look-up of a service's name.

use std::{collections::HashSet, time::Duration};

use http::{Uri, uri::Authority};
use tokio::{net, time};
use tonic::transport::Endpoint;

use crate::{
    Code,
    client::{Error, redact::redacted},
};

/// One address of a service.
pub(super) struct Address {
    /// The address as text. Tells the replica from the others.
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
}

/// The time limit for one look-up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Parses the URL of a service.
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

/// Returns the addresses of the service at `url`, or `None` if the look-up failed.
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
        // The name that the caller gave stays the `:authority` of every call.
        let endpoint = Endpoint::from(uri).origin(url.clone());
        Some(Address { name, endpoint })
    });
    addresses.collect()
}
