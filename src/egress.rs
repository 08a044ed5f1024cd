//! Where a fetch may go: public unicast addresses, and what the operator allows
//! besides.
//!
//! [`Policy`] decides over schemes, host names, ports and addresses, and does
//! nothing else. The connector asks it about a [`Target`] before it looks the
//! name up, and about each address right before it dials it, at every redirect
//! and every retry.

mod host;
#[cfg(any(test, fuzzing))]
#[allow(missing_docs, clippy::missing_panics_doc)]
pub mod property;
mod ranges;
mod rules;
mod target;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

pub use host::{HostPattern, InvalidHost};
pub(crate) use rules::InvalidNetwork;
pub use rules::Rules;
pub use target::{Host, Target};

/// A decision over everything that would be dialled. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<State>);

struct State {
    rules: Rules,
    own: RwLock<Vec<Own>>,
}

/// Where the process itself listens.
struct Own {
    address: SocketAddr,
    /// Whether an address is one of this machine.
    is_here: fn(IpAddr) -> bool,
}

/// What must not be reached, by which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Neither `http` nor `https`.
    #[error("the scheme is denied: http and https are fetched")]
    Scheme,
    /// `--allow-port` is set, and does not name it.
    #[error("port {0} is denied: --allow-port does not name it")]
    Port(u16),
    /// `--deny-host` names it.
    #[error("the host {0} is denied by --deny-host")]
    Host(String),
    /// `--allow-host` is set, and does not name it.
    #[error("the host {0} is denied: --allow-host does not name it")]
    OtherHost(String),
    /// The service listens there.
    #[error("the service's own {0} is denied, whatever is allowed")]
    Own(SocketAddr),
    /// `--deny-net` holds it.
    #[error("the address {0} is denied by --deny-net")]
    Net(IpAddr),
    /// It holds an IPv4 address that is unpacked elsewhere.
    #[error("the address {address} is denied, whatever is allowed: {form}")]
    Embedding {
        /// The address as a whole.
        address: IpAddr,
        /// The name of the form.
        form: &'static str,
    },
    /// It is not public unicast, and `--allow-net` does not hold it.
    #[error("{address} is denied: {range} (allowed with --allow-net)")]
    Range {
        /// The address, unwrapped where it was embedded in another.
        address: IpAddr,
        /// The name of the range.
        range: &'static str,
    },
}

impl Denied {
    /// The name of the rule, one of a few.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Port(_) => "allow-port",
            Self::Host(_) => "deny-host",
            Self::OtherHost(_) => "allow-host",
            Self::Own(_) => "own address",
            Self::Net(_) => "deny-net",
            Self::Embedding { form, .. } => form,
            Self::Range { range, .. } => range,
        }
    }
}

#[cfg(test)]
impl Policy {
    /// An address over which a policy under test panics.
    pub(crate) const FAULTY: IpAddr = IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1));

    fn panic_over(address: IpAddr) {
        assert_ne!(address, Self::FAULTY, "for the tests of what a panic does");
    }
}

impl Policy {
    /// Creates a policy with `rules`.
    pub fn new(rules: &Rules) -> Self {
        Self(Arc::new(State {
            rules: rules.clone(),
            own: RwLock::default(),
        }))
    }

    /// Denies `address`, where the process listens, from now on: with an
    /// unspecified address that port on every address for which `is_here` says
    /// that it is one of this machine.
    pub fn deny_own(&self, address: SocketAddr, is_here: fn(IpAddr) -> bool) {
        let own = Own { address, is_here };
        let mut all = self.0.own.write().unwrap_or_else(PoisonError::into_inner);
        all.push(own);
    }

    /// Judges the scheme of a URL.
    pub fn judge_scheme(scheme: &str) -> Result<(), Denied> {
        match scheme {
            "http" | "https" => Ok(()),
            _ => Err(Denied::Scheme),
        }
    }

    /// Judges the host, the port, and the addresses that need no look-up: one
    /// that is allowed is enough.
    pub fn judge_target(&self, target: &Target<'_>) -> Result<(), Denied> {
        let rules = &self.0.rules;
        if !rules.allow_port.is_empty() && !rules.allow_port.contains(&target.port) {
            return Err(Denied::Port(target.port));
        }
        let is_named = |list: &[HostPattern]| {
            list.iter().any(|pattern| match target.host {
                Host::Name(name) | Host::Localhost(name) => pattern.matches_name(name),
                Host::Address(address) => pattern.matches_address(ranges::unwrapped(address)),
            })
        };
        if is_named(&rules.deny_host) {
            return Err(Denied::Host(target.host.to_string()));
        }
        if !rules.allow_host.is_empty() && !is_named(&rules.allow_host) {
            return Err(Denied::OtherHost(target.host.to_string()));
        }
        let mut judged = target.known_addresses().map(|address| self.judge(address));
        match judged.next() {
            Some(Err(denied)) if judged.all(|judged| judged.is_err()) => Err(denied),
            _ => Ok(()),
        }
    }

    /// The allowed ones among `addresses`, or why there is none.
    pub fn allowed(&self, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Denied> {
        let mut denied = None;
        addresses.retain(|address| match self.judge(*address) {
            Ok(()) => true,
            Err(error) => {
                denied.get_or_insert(error);
                false
            }
        });
        match denied {
            Some(denied) if addresses.is_empty() => Err(denied),
            _ => Ok(addresses),
        }
    }

    /// Judges an address together with its port: an own address before
    /// `--deny-net`, that before `--allow-net`, and that before the ranges.
    pub fn judge(&self, address: SocketAddr) -> Result<(), Denied> {
        let whole = address.ip();
        let inner = ranges::unwrapped(whole);
        #[cfg(test)]
        Self::panic_over(inner);
        // Which leads to the machine itself.
        match inner {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => self.judge(at(Ipv4Addr::LOCALHOST, address))?,
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => self.judge(at(Ipv6Addr::LOCALHOST, address))?,
            _ => {}
        }
        let rules = &self.0.rules;
        if self.is_own(SocketAddr::new(inner, address.port())) {
            return Err(Denied::Own(address));
        }
        if let Some(form) = ranges::embedding(inner) {
            return Err(Denied::Embedding {
                address: whole,
                form,
            });
        }
        let mut denied = rules.deny_net.iter();
        if denied.any(|net| net.contains(&inner) || net.contains(&whole)) {
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

    fn is_own(&self, target: SocketAddr) -> bool {
        let own = self.0.own.read().unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|own| own.is_reached_by(target))
    }
}

/// `ip`, at the port of `address`.
fn at(ip: impl Into<IpAddr>, address: SocketAddr) -> SocketAddr {
    SocketAddr::new(ip.into(), address.port())
}

impl Own {
    fn is_reached_by(&self, target: SocketAddr) -> bool {
        let (own, target_ip) = (ranges::unwrapped(self.address.ip()), target.ip());
        self.address.port() == target.port()
            && (own == target_ip
                || target_ip.is_unspecified()
                || own.is_unspecified() && (self.is_here)(target_ip))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policy").field(&self.0.rules).finish()
    }
}
