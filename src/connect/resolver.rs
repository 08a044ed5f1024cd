//! Resolves host names to addresses.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RecordType},
};
use tokio::time;

use super::{
    ConnectError,
    cache::{Cache, Key, MAX_ADDRESSES},
};
use crate::egress::{Host, Target};

/// A caching DNS resolver that also reads the system's hosts file.
pub(super) struct Resolver {
    resolver: TokioResolver,
    /// Used in place of hickory's cache, which bounds the number of responses but not
    /// their size.
    cache: Cache,
}

/// How long to wait for IPv6 addresses after an allowed IPv4 address has arrived
/// (RFC 8305, 3). Some name servers never answer AAAA queries.
const V6_DELAY: Duration = Duration::from_millis(50);

/// How long to wait for IPv4 addresses after an allowed IPv6 address has arrived.
/// Longer than [`V6_DELAY`], because many machines can only connect over IPv4.
const V4_DELAY: Duration = Duration::from_secs(1);

/// The maximum time for which a negative answer is cached, in seconds.
const MAX_NEGATIVE_TTL: u32 = 5 * 60;

/// The addresses of one family.
type Answer = Result<Arc<[IpAddr]>, NetError>;

impl Resolver {
    /// Creates a resolver that queries `name_servers`, or the system's name servers if
    /// the list is empty.
    pub(super) fn new(name_servers: &[SocketAddr]) -> Self {
        let with_servers = |servers| {
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let mut builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio().unwrap_or_else(|error| {
                tracing::warn!(%error, "no name servers: the system's DNS configuration cannot be read");
                with_servers(Vec::new())
            })
        } else {
            with_servers(name_servers.iter().map(name_server).collect())
        };
        builder.options_mut().cache_size = 0;
        let resolver = builder
            .build()
            .expect("building fails only for invalid TLS settings, and none are set");
        Self {
            resolver,
            cache: Cache::new(),
        }
    }

    /// Returns the addresses of `target`: at least one, and at most
    /// [`MAX_ADDRESSES`] of each family.
    ///
    /// Both families are queried at the same time. As soon as one of them has an
    /// address for which `is_allowed` returns true, the other has only a short time
    /// left to answer. Dropping the future cancels the queries.
    pub(super) async fn resolve(
        &self,
        target: &Target<'_>,
        is_allowed: impl Fn(SocketAddr) -> bool,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let Host::Name(host) = target.host else {
            return Ok(target.known_addresses().collect());
        };
        let no_address = || ConnectError::NoAddress {
            host: host.to_owned(),
        };
        let mut name = Name::from_ascii(host).map_err(|_| no_address())?;
        // Search domains do not apply: `http://kubernetes/` must not lead into the cluster.
        name.set_fqdn(true);
        let with_port = |ip: &IpAddr| SocketAddr::new(*ip, target.port);
        let is_sufficient = |answer: &Answer| {
            answer
                .as_ref()
                .is_ok_and(|addresses| addresses.iter().any(|ip| is_allowed(with_port(ip))))
        };
        match self.lookup_both(host, name, is_sufficient).await {
            (Ok(v6), Ok(v4)) if v6.is_empty() && v4.is_empty() => Err(no_address()),
            (Ok(v6), Ok(v4)) => Ok(v6.iter().chain(v4.iter()).map(with_port).collect()),
            (Ok(addresses), Err(_)) | (Err(_), Ok(addresses)) if !addresses.is_empty() => {
                Ok(addresses.iter().map(with_port).collect())
            }
            (Err(error), _) | (_, Err(error)) => Err(ConnectError::Dns {
                host: host.to_owned(),
                source: Box::new(error),
            }),
        }
    }

    /// Looks up both families concurrently, and returns the IPv6 answer before the IPv4
    /// answer.
    async fn lookup_both(
        &self,
        host: &str,
        name: Name,
        is_sufficient: impl Fn(&Answer) -> bool,
    ) -> (Answer, Answer) {
        let mut v6 = pin!(self.lookup(host, name.clone(), RecordType::AAAA));
        let mut v4 = pin!(self.lookup(host, name, RecordType::A));
        let (first, second, delay, is_v6_first) = tokio::select! {
            first = &mut v6 => (first, v4, V4_DELAY, true),
            first = &mut v4 => (first, v6, V6_DELAY, false),
        };
        let second = if is_sufficient(&first) {
            let limited = time::timeout(delay, second).await;
            limited.unwrap_or_else(|_| Ok(Arc::default()))
        } else {
            second.await
        };
        if is_v6_first {
            (first, second)
        } else {
            (second, first)
        }
    }

    /// Looks up the records of one type. The answer is empty if the name has none.
    async fn lookup(&self, host: &str, name: Name, record_type: RecordType) -> Answer {
        let key = Key {
            name: host.into(),
            record_type,
        };
        if let Some(addresses) = self.cache.get(&key) {
            return Ok(addresses);
        }
        let (addresses, ttl): (Arc<[IpAddr]>, u32) =
            match self.resolver.lookup(name, record_type).await {
                Ok(response) => {
                    let records = response.answers().iter();
                    let addresses = records.clone().filter_map(|record| record.data.ip_addr());
                    let addresses = addresses.take(MAX_ADDRESSES).collect();
                    // The answer also holds the aliases (CNAME) that led to the addresses.
                    let min_ttl = records.map(|record| record.ttl).min();
                    (addresses, min_ttl.unwrap_or_default())
                }
                Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                    let ttl = none.negative_ttl.unwrap_or_default();
                    (Arc::default(), ttl.min(MAX_NEGATIVE_TTL))
                }
                Err(error) => return Err(error),
            };
        let ttl = Duration::from_secs(ttl.into());
        self.cache.insert(key, Arc::clone(&addresses), ttl);
        Ok(addresses)
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}
