//! What names resolve to.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
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
    cache::{self, Cache},
};
use crate::egress::{Host, Target};

/// A resolver with a cache: by the system's configuration and hosts file, within
/// the records' time to live.
pub(super) struct Names {
    resolver: TokioResolver,
    /// Ours, since the resolver's is bounded in responses, and one response may
    /// be large.
    cache: Cache,
}

/// How long to wait for IPv6 addresses when an IPv4 one that may be dialled is
/// there (RFC 8305, 3): some name servers never answer that question.
const V6_DELAY: Duration = Duration::from_millis(50);

/// The same the other way round: longer, since most machines need them.
const V4_DELAY: Duration = Duration::from_secs(1);

/// The longest time that a name without addresses is taken for that.
const MAX_NEGATIVE: Duration = Duration::from_mins(5);

/// The addresses of one family.
type Answer = Result<Vec<IpAddr>, NetError>;

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
        builder.options_mut().cache_size = 0;
        let resolver = builder.build();
        Self {
            resolver: resolver
                .expect("building can fail only over TLS settings, and there are none"),
            cache: Cache::default(),
        }
    }

    /// The addresses of `target`, at least one, and a bounded number. Once there
    /// is one that `is_allowed`, those of the other family are not waited for
    /// long. Dropping the future stops the look-up.
    pub(super) async fn addresses(
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
        // Search domains do not apply: `http://kubernetes/` is no cluster name.
        name.set_fqdn(true);
        let at_port = |ip: &IpAddr| SocketAddr::new(*ip, target.port);
        let is_enough = |found: &Answer| {
            let found = found.as_ref().ok();
            found.is_some_and(|found| found.iter().any(|ip| is_allowed(at_port(ip))))
        };
        match self.both_families(host, name, is_enough).await {
            (Ok(v6), Ok(v4)) if v6.is_empty() && v4.is_empty() => Err(no_address()),
            (Ok(v6), Ok(v4)) => Ok(v6.iter().chain(&v4).map(at_port).collect()),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => {
                Ok(found.iter().map(at_port).collect())
            }
            (Err(error), _) | (_, Err(error)) => Err(ConnectError::Dns {
                host: host.to_owned(),
                source: Box::new(error),
            }),
        }
    }

    /// The IPv6 and the IPv4 addresses of `name`, asked for at the same time.
    async fn both_families(
        &self,
        host: &str,
        name: Name,
        is_enough: impl Fn(&Answer) -> bool,
    ) -> (Answer, Answer) {
        let mut v6 = pin!(self.of_family(host, name.clone(), RecordType::AAAA));
        let mut v4 = pin!(self.of_family(host, name, RecordType::A));
        let (first, second, delay, is_v6) = tokio::select! {
            first = &mut v6 => (first, v4, V4_DELAY, true),
            first = &mut v4 => (first, v6, V6_DELAY, false),
        };
        let second = if is_enough(&first) {
            let limited = time::timeout(delay, second).await;
            limited.unwrap_or(Ok(Vec::new()))
        } else {
            second.await
        };
        if is_v6 {
            (first, second)
        } else {
            (second, first)
        }
    }

    /// The addresses of one family, no more than may be kept; none where the name
    /// has none.
    async fn of_family(&self, host: &str, name: Name, family: RecordType) -> Answer {
        let key = (host.into(), family == RecordType::AAAA);
        if let Some(kept) = self.cache.get(&key) {
            return Ok(kept);
        }
        let (addresses, ttl) = match self.resolver.lookup(name, family).await {
            Ok(found) => {
                let records = found.answers().iter();
                let addresses = records.clone().filter_map(|record| record.data.ip_addr());
                let addresses: Vec<_> = addresses.take(cache::MAX_ADDRESSES).collect();
                // Aliases on the way to the addresses are among them.
                let ttl = records.map(|record| record.ttl).min().unwrap_or_default();
                (addresses, Duration::from_secs(ttl.into()))
            }
            Err(error) => match &error {
                NetError::Dns(DnsError::NoRecordsFound(none)) => {
                    let ttl = none.negative_ttl.unwrap_or_default();
                    let ttl = Duration::from_secs(ttl.into()).min(MAX_NEGATIVE);
                    (Vec::new(), ttl)
                }
                _ => return Err(error),
            },
        };
        self.cache.put(key, &addresses, ttl);
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
