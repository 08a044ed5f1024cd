//! DNS resolution.

use std::{
    error::Error,
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
use prometheus::Histogram;
use tokio::time;

use super::{
    ConnectError,
    cache::{Cache, Key, MAX_ADDRESSES},
};
use crate::{
    config::Origins,
    egress::{Host, Target},
    net::Network,
};

/// A caching DNS resolver. It also looks at the system's hosts file.
pub(super) struct Resolver {
    names: Names,
    /// Our own cache. We don't use hickory's, because it only limits how many responses
    /// it holds but not how large they are.
    cache: Cache,
    /// How long look-ups take that the cache doesn't answer.
    durations: Histogram,
}

/// If we've got an IPv4 address that's allowed, this is how much longer we wait for IPv6
/// addresses (RFC 8305, 3). Some name servers never answer AAAA queries at all.
const V6_DELAY: Duration = Duration::from_millis(50);

/// The same the other way around: how much longer to wait for IPv4 addresses. Note that
/// this is a lot longer than [`V6_DELAY`], since there are many machines that can't
/// connect over IPv6.
const V4_DELAY: Duration = Duration::from_secs(1);

/// Negative answers are cached for at most this many seconds, even if their TTL is
/// higher.
const MAX_NEGATIVE_TTL: u32 = 5 * 60;

/// Who knows the addresses of names.
enum Names {
    System(Box<TokioResolver>),
    Other(Arc<dyn Network>),
}

/// The addresses of one address family.
type Answer = Result<Arc<[IpAddr]>, BoxError>;

/// Why a look-up failed.
type BoxError = Box<dyn Error + Send + Sync>;

impl Resolver {
    /// Creates a resolver that queries the name servers of `origins`. If there aren't any, it
    /// uses the system's name servers.
    pub(super) fn new(origins: &Origins, durations: Histogram) -> Self {
        let (names, cache) = match origins.network.other() {
            Some(network) => (Names::Other(Arc::clone(network)), Cache::without_expiry()),
            None => (Names::system(&origins.name_servers), Cache::new()),
        };
        Self {
            names,
            cache,
            durations,
        }
    }

    /// Resolves `target`. On success there is at least one address, and at most
    /// [`MAX_ADDRESSES`] per family.
    ///
    /// We query both address families at the same time. Once one of them has given us an
    /// address that `is_allowed`, we only wait a little longer for the other. Dropping
    /// the future cancels all queries.
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
        // Don't use search domains: `http://kubernetes/` must not lead into the cluster.
        name.set_fqdn(true);
        let with_port = |ip: &IpAddr| SocketAddr::new(*ip, target.port);
        let is_sufficient = |answer: &Answer| {
            answer
                .as_ref()
                .is_ok_and(|addresses| addresses.iter().any(|ip| is_allowed(with_port(ip))))
        };
        let (v6, v4) = (
            Key::new(host, RecordType::AAAA),
            Key::new(host, RecordType::A),
        );
        let answers = if let (Some(v6), Some(v4)) = (self.cache.get(&v6), self.cache.get(&v4)) {
            (Ok(v6), Ok(v4))
        } else {
            // It observes the time when it's dropped, so failed and cancelled look-ups count.
            let _timer = self.durations.start_timer();
            self.lookup_both(name, (v6, v4), is_sufficient).await
        };
        match answers {
            (Ok(v6), Ok(v4)) if v6.is_empty() && v4.is_empty() => Err(no_address()),
            (Ok(v6), Ok(v4)) => Ok(v6.iter().chain(v4.iter()).map(with_port).collect()),
            (Ok(addresses), Err(_)) | (Err(_), Ok(addresses)) if !addresses.is_empty() => {
                Ok(addresses.iter().map(with_port).collect())
            }
            (Err(error), _) | (_, Err(error)) => Err(ConnectError::Dns {
                host: host.to_owned(),
                source: error,
            }),
        }
    }

    /// Looks up IPv6 and IPv4 addresses concurrently. Returns both answers, IPv6 first.
    async fn lookup_both(
        &self,
        name: Name,
        (v6, v4): (Key, Key),
        is_sufficient: impl Fn(&Answer) -> bool,
    ) -> (Answer, Answer) {
        let mut v6 = pin!(self.lookup(name.clone(), v6));
        let mut v4 = pin!(self.lookup(name, v4));
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

    /// Looks up the records of `key`, whose name is `name`. If there are none, the answer
    /// is empty.
    async fn lookup(&self, name: Name, key: Key) -> Answer {
        if let Some(addresses) = self.cache.get(&key) {
            return Ok(addresses);
        }
        let (addresses, ttl) = self.names.look_up(name, &key).await?;
        self.cache.insert(key, Arc::clone(&addresses), ttl);
        Ok(addresses)
    }
}

impl Names {
    /// Queries `name_servers`, or the system's name servers if there aren't any.
    fn system(name_servers: &[SocketAddr]) -> Self {
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
        let hickory = builder
            .build()
            .expect("building fails only for invalid TLS settings, and none are set");
        Self::System(Box::new(hickory))
    }

    /// Returns the addresses of `key`, whose name is `name`, and how long they may be cached.
    async fn look_up(&self, name: Name, key: &Key) -> Result<(Arc<[IpAddr]>, Duration), BoxError> {
        let hickory = match self {
            Self::System(hickory) => hickory,
            Self::Other(network) => {
                let found = network.look_up(&key.name).await?;
                let is_wanted = |ip: &IpAddr| ip.is_ipv6() == (key.record_type == RecordType::AAAA);
                let addresses = found.addresses.into_iter().filter(is_wanted);
                return Ok((addresses.take(MAX_ADDRESSES).collect(), found.ttl));
            }
        };
        let (addresses, ttl): (Arc<[IpAddr]>, u32) =
            match hickory.lookup(name, key.record_type).await {
                Ok(response) => {
                    let records = response.answers().iter();
                    let addresses = records.clone().filter_map(|record| record.data.ip_addr());
                    let addresses = addresses.take(MAX_ADDRESSES).collect();
                    // Aliases (CNAME) on the way to the addresses are part of the answer,
                    // so this takes their TTLs into account as well.
                    let min_ttl = records.map(|record| record.ttl).min();
                    (addresses, min_ttl.unwrap_or_default())
                }
                Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                    let ttl = none.negative_ttl.unwrap_or_default();
                    (Arc::default(), ttl.min(MAX_NEGATIVE_TTL))
                }
                Err(error) => return Err(error.into()),
            };
        Ok((addresses, Duration::from_secs(ttl.into())))
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}
