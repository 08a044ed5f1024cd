//! The egress policy decides which schemes, hosts, ports and addresses may be fetched.
//!
//! By default, only public unicast addresses are allowed. The operator can allow more,
//! and deny some. Note that a [`Policy`] only makes decisions and doesn't do any I/O
//! itself. The connector checks each [`Target`] before it resolves the name, and then
//! checks every address right before dialing it. It does so for each request, redirect
//! and retry.

mod denied;
mod host;
#[cfg(any(test, feature = "internals"))]
#[allow(missing_docs, clippy::missing_panics_doc)]
pub mod property;
mod ranges;
mod rules;
mod target;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::RwLock;

pub use denied::Denied;
pub use host::{HostPattern, InvalidHost};
pub(crate) use rules::InvalidNetwork;
pub use rules::Rules;
pub use target::{Host, Target};

/// The egress policy of a service. Cheap to clone. All clones share one state.
#[derive(Clone)]
pub struct Policy(Arc<State>);

struct State {
    rules: Rules,
    listeners: RwLock<Vec<Listener>>,
}

/// A listener of this process. Fetches must not be able to reach it.
struct Listener {
    address: SocketAddr,
    /// Tells whether an address belongs to this machine.
    is_local: fn(IpAddr) -> bool,
}

impl Policy {
    /// Creates a policy with `rules`.
    pub fn new(rules: &Rules) -> Self {
        Self(Arc::new(State {
            rules: rules.clone(),
            listeners: RwLock::default(),
        }))
    }

    /// Denies `address` from now on, because this process listens on it.
    ///
    /// If the IP address is unspecified, its port is denied on every address for which
    /// `is_local` returns true.
    pub fn deny_listener(&self, address: SocketAddr, is_local: fn(IpAddr) -> bool) {
        let listener = Listener { address, is_local };
        self.0.listeners.write().push(listener);
    }

    /// Checks a URL's scheme.
    pub fn check_scheme(scheme: &str) -> Result<(), Denied> {
        match scheme {
            "http" | "https" => Ok(()),
            _ => Err(Denied::Scheme),
        }
    }

    /// Checks host and port, and also the addresses if we know them without a lookup.
    ///
    /// If there are several addresses, one that's allowed is enough.
    pub fn check_target(&self, target: &Target<'_>) -> Result<(), Denied> {
        let rules = &self.0.rules;
        if !rules.allow_port.is_empty() && !rules.allow_port.contains(&target.port) {
            return Err(Denied::Port(target.port));
        }
        let is_listed = |list: &[HostPattern]| {
            list.iter().any(|pattern| match target.host {
                Host::Name(name) | Host::Localhost(name) => pattern.matches_name(name),
                Host::Address(address) => pattern.matches_address(ranges::unwrapped(address)),
            })
        };
        if is_listed(&rules.deny_host) {
            return Err(Denied::Host(target.host.to_string()));
        }
        if !rules.allow_host.is_empty() && !is_listed(&rules.allow_host) {
            return Err(Denied::OtherHost(target.host.to_string()));
        }
        let mut results = target
            .known_addresses()
            .map(|address| self.check_address(address));
        match results.next() {
            Some(Err(denied)) if results.all(|result| result.is_err()) => Err(denied),
            _ => Ok(()),
        }
    }

    /// Removes all addresses that aren't allowed.
    ///
    /// # Errors
    ///
    /// If none of the addresses is allowed, this returns the error for the first one.
    pub fn allowed_addresses(
        &self,
        mut addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Denied> {
        let mut first_denied = None;
        addresses.retain(|address| match self.check_address(*address) {
            Ok(()) => true,
            Err(denied) => {
                first_denied.get_or_insert(denied);
                false
            }
        });
        match first_denied {
            Some(denied) if addresses.is_empty() => Err(denied),
            _ => Ok(addresses),
        }
    }

    /// Checks an address and its port.
    ///
    /// The rules are checked in this order: the process's own listeners, `--deny-net`,
    /// `--allow-net`, and finally the special ranges.
    pub fn check_address(&self, address: SocketAddr) -> Result<(), Denied> {
        let outer = address.ip();
        let inner = ranges::unwrapped(outer);
        // Connecting to the unspecified address reaches this machine. So it's only
        // allowed if loopback is allowed as well.
        match inner {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                self.check_address((Ipv4Addr::LOCALHOST, address.port()).into())?;
            }
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                self.check_address((Ipv6Addr::LOCALHOST, address.port()).into())?;
            }
            _ => {}
        }
        let rules = &self.0.rules;
        if self.is_listener(SocketAddr::new(inner, address.port())) {
            return Err(Denied::Listener(address));
        }
        if let Some(form) = ranges::embedding(inner) {
            return Err(Denied::Embedding {
                address: outer,
                form,
            });
        }
        let mut deny_net = rules.deny_net.iter();
        if deny_net.any(|net| net.contains(&inner) || net.contains(&outer)) {
            return Err(Denied::Net(inner));
        }
        if rules.allow_net.iter().any(|net| net.contains(&inner)) {
            return Ok(());
        }
        match ranges::special(inner) {
            Some(range) => Err(Denied::Range {
                address: inner,
                range,
            }),
            None => Ok(()),
        }
    }

    fn is_listener(&self, destination: SocketAddr) -> bool {
        let listeners = self.0.listeners.read();
        listeners
            .iter()
            .any(|listener| listener.accepts(destination))
    }
}

impl Listener {
    /// Returns true if a connection to `destination` would end up at this listener.
    fn accepts(&self, destination: SocketAddr) -> bool {
        if self.address.port() != destination.port() {
            return false;
        }
        let own_ip = ranges::unwrapped(self.address.ip());
        let ip = destination.ip();
        own_ip == ip || ip.is_unspecified() || own_ip.is_unspecified() && (self.is_local)(ip)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policy").field(&self.0.rules).finish()
    }
}

#[cfg(test)]
mod tests;
