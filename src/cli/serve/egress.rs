//! What the log says about the egress policy at the start.

use std::fmt::Display;

use fetchd::config::Egress;
use ipnet::IpNet;

use super::Args;
use crate::cli::parse::List;

/// The lists of the policy as we understood them, to be logged. Those that aren't set
/// are `None`.
pub(super) struct Shown {
    pub(super) allow_net: Option<String>,
    pub(super) deny_net: Option<String>,
    pub(super) allow_host: Option<String>,
    pub(super) deny_host: Option<String>,
    pub(super) allow_port: Option<String>,
}

impl From<&Egress> for Shown {
    fn from(egress: &Egress) -> Self {
        Self {
            allow_net: list(egress.allow_net.iter().map(IpNet::trunc)),
            deny_net: list(egress.deny_net.iter().map(IpNet::trunc)),
            allow_host: list(&egress.allow_host),
            deny_host: list(&egress.deny_host),
            allow_port: list(&egress.allow_port),
        }
    }
}

/// Writes a list the way the flags are written.
fn list<T: Display>(items: impl IntoIterator<Item = T>) -> Option<String> {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    (!items.is_empty()).then(|| items.join(","))
}

/// Warns about addresses that may be meant as networks. Otherwise, whoever writes
/// `--deny-net 10.0.0.0` would only deny a single address.
pub(super) fn warn_about_missing_prefixes(args: &Args) {
    for (flag, lists) in [
        ("--allow-net", &args.allow_net),
        ("--deny-net", &args.deny_net),
    ] {
        for written in List::concat(lists) {
            if let Some(network) = written.perhaps_meant() {
                let net = written.net;
                let address = net.addr();
                tracing::warn!(
                    "{flag}: {address} has no prefix and only means {net}; \
                     for a network, write {network}"
                );
            }
        }
    }
}
