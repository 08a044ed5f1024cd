//! What names resolve to.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RecordType},
};
use tokio::time;

use super::ConnectError;
use crate::egress::{Host, Target};

/// A resolver with a cache: by the system's configuration and hosts file, within
/// the records' time to live.
pub(super) struct Names(TokioResolver);

/// The most responses in the cache, and the most records of one that is kept
/// there: together some 32 MiB, whatever a name server answers.
const MAX_RESPONSES: u64 = 2048;
const MAX_RECORDS: usize = 64;

/// How long to wait for IPv6 addresses when the IPv4 ones are there (RFC 8305,
/// 3): some name servers never answer that question.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

impl Names {
    /// Asks `name_servers`, or the system's where there are none.
    pub(super) fn new(name_servers: &[SocketAddr]) -> Self {
        let provider = TokioRuntimeProvider::default;
        let of = |servers| {
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, provider())
        };
        let mut builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio().unwrap_or_else(|error| {
                tracing::warn!(%error, "no name servers: the system's DNS configuration cannot be read");
                of(Vec::new())
            })
        } else {
            of(name_servers.iter().map(name_server).collect())
        };
        builder.options_mut().cache_size = MAX_RESPONSES;
        let resolver = builder.build();
        Self(resolver.expect("building can fail only over TLS settings, and there are none"))
    }

    /// The addresses of `target`, none of them judged; at least one. Dropping the
    /// future stops the look-up.
    pub(super) async fn addresses(
        &self,
        target: &Target<'_>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let Host::Name(name) = target.host else {
            return Ok(target.known_addresses().collect());
        };
        let found = self.look_up(name).await?.into_iter();
        Ok(found.map(|ip| SocketAddr::new(ip, target.port)).collect())
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        let no_address = || ConnectError::NoAddress {
            host: host.to_owned(),
        };
        let mut name = Name::from_ascii(host).map_err(|_| no_address())?;
        // Search domains do not apply: `http://kubernetes/` is no cluster name.
        name.set_fqdn(true);
        let (v6, v4) = self.both_families(name).await;
        match (v6, v4) {
            (Ok(v6), Ok(v4)) if v6.is_empty() && v4.is_empty() => Err(no_address()),
            (Ok(v6), Ok(v4)) => Ok([v6, v4].concat()),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
            (Err(error), _) | (_, Err(error)) => Err(ConnectError::Dns {
                host: host.to_owned(),
                source: Box::new(error),
            }),
        }
    }

    /// The IPv6 and the IPv4 addresses of `name`, asked for at the same time.
    async fn both_families(
        &self,
        name: Name,
    ) -> (Result<Vec<IpAddr>, NetError>, Result<Vec<IpAddr>, NetError>) {
        let mut v6 = pin!(self.of_family(name.clone(), RecordType::AAAA));
        let mut v4 = pin!(self.of_family(name, RecordType::A));
        tokio::select! {
            v6 = &mut v6 => (v6, v4.await),
            v4 = &mut v4 => {
                let is_enough = v4.as_ref().is_ok_and(|v4| !v4.is_empty());
                let v6 = if is_enough {
                    time::timeout(RESOLUTION_DELAY, v6).await.unwrap_or(Ok(Vec::new()))
                } else {
                    v6.await
                };
                (v6, v4)
            }
        }
    }

    /// The addresses of one family; none where the name has none.
    async fn of_family(&self, name: Name, family: RecordType) -> Result<Vec<IpAddr>, NetError> {
        let looked_up = self.0.lookup(name.clone(), family).await;
        if records(&looked_up) > MAX_RECORDS {
            self.0.clear_lookup_cache(name, family);
        }
        match looked_up {
            Ok(found) => {
                let records = found.answers().iter();
                Ok(records.filter_map(|record| record.data.ip_addr()).collect())
            }
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// How many records a response has that may be in the cache.
fn records(looked_up: &Result<Lookup, NetError>) -> usize {
    match looked_up {
        Ok(found) => found.answers().len() + found.authorities().len() + found.additionals().len(),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let authorities = none.authorities.as_ref().map_or(0, |records| records.len());
            let servers = none.ns.iter().flat_map(|servers| servers.iter());
            authorities + servers.map(|server| 1 + server.glue.len()).sum::<usize>()
        }
        Err(_) => 0,
    }
}
