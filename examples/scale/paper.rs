//! What follows from the numbers of replicas and callers alone.

use fetchd::config::Limits;

use crate::{
    page::Values,
    scale::{CALLERS, REPLICAS},
    traffic::LOOK_UP,
};

/// How often the client pings each connection, in seconds: the default of `Builder`.
const PING: f64 = 5.0;

/// How often the client looks up names while a replica is ejected, in seconds.
const LOOK_UP_EJECTED: f64 = 1.0;

/// The longest time between two probes of an ejected replica, in seconds.
const PROBE: f64 = 5.0;

/// Names that a resolver asks for in a pod, with `ndots:5` and three search domains, until the
/// name with two dots is found. For each, it asks for IPv4 and IPv6 addresses.
const QUERIES: u32 = 3 * 2;

/// A DNS message: its header, the question with the name of the Service, and an address.
const HEADER: usize = 12;
const QUESTION: usize = "fetchd-headless.fetchd.svc.cluster.local".len() + 2 + 4;
const OPTIONS: usize = 11;
const ADDRESS: usize = 16;

pub(crate) fn fill(values: &mut Values) {
    let limits = Limits::default();
    let (replicas, callers) = (f64::from(REPLICAS), CALLERS as f64);
    let connections = replicas * callers;
    values.set("connections", thousands(connections));
    values.set("max_connections", thousands(limits.max_connections.into()));
    values.set("clients_each", limits.max_connections / CALLERS as u32);
    let age = limits.max_connection_age.as_secs_f64();
    values.set("reconnects", thousands(connections / age));
    values.set("reconnects_replica", format!("{:.1}", callers / age));
    values.set("reconnects_caller", format!("{:.1}", replicas / age));
    values.set("pings", thousands(connections / PING));
    values.set("pings_caller", thousands(replicas / PING));
    values.set("pings_replica", thousands(callers / PING));
    values.set("look_ups", thousands(callers / LOOK_UP));
    values.set("look_ups_ejected", thousands(callers / LOOK_UP_EJECTED));
    values.set("queries", thousands(callers / LOOK_UP * f64::from(QUERIES)));
    values.set(
        "queries_ejected",
        thousands(callers / LOOK_UP_EJECTED * f64::from(QUERIES)),
    );
    values.set("queries_each", QUERIES);
    values.set("probes", thousands(callers / PROBE));
    let answer = HEADER + QUESTION + OPTIONS + ADDRESS * usize::from(REPLICAS);
    values.set("answer_kib", format!("{:.1}", answer as f64 / 1024.0));
    values.set(
        "answers_mib",
        format!("{:.1}", answer as f64 * callers / LOOK_UP / 1_048_576.0),
    );
    values.set(
        "answers_ejected_mib",
        format!(
            "{:.1}",
            answer as f64 * callers / LOOK_UP_EJECTED / 1_048_576.0
        ),
    );
    for (name, size, options) in [
        ("udp", 512, 0),
        ("edns", 1232, OPTIONS),
        ("tcp", 65_535, OPTIONS),
    ] {
        let addresses = (size - HEADER - QUESTION - options) / ADDRESS;
        values.set(&format!("addresses_{name}"), thousands(addresses as f64));
    }
}

/// Formats a whole number with commas.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
