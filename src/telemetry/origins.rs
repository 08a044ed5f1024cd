//! Metrics of connections to origins, and of opening them.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::registry::Families;

/// Metrics of connections to origins, look-ups and handshakes. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct OriginMetrics {
    /// How long name look-ups take, if name servers have to be asked.
    pub(crate) dns: Histogram,
    /// How long TLS handshakes take.
    pub(crate) tls: Histogram,
    /// Exchanges on connections that have had one before.
    pub(crate) reused: IntCounter,
    opened: IntCounter,
    /// Not exposed by itself, but divided into active and idle connections.
    open: IntGauge,
}

/// An open connection to an origin. Dropping it counts the connection as closed.
#[derive(Debug)]
pub(crate) struct OpenConnection(IntGauge);

impl OriginMetrics {
    pub(super) fn new(families: &Families) -> Self {
        Self {
            dns: families.histogram(
                "fetchd_dns_duration_seconds",
                "Look-ups of host names that were not answered from the cache, failed ones too",
            ),
            tls: families.histogram(
                "fetchd_tls_duration_seconds",
                "TLS handshakes with origins, failed ones too",
            ),
            reused: families.counter(
                "fetchd_connections_reused_total",
                "Exchanges with origins on connections that had carried one before",
            ),
            opened: families.counter(
                "fetchd_connections_opened_total",
                "Connections to origins that were opened, each for a first exchange",
            ),
            open: IntGauge::new("open", "open").expect("the name is valid"),
        }
    }

    /// Counts a connection that was opened.
    pub(crate) fn open_connection(&self) -> OpenConnection {
        self.opened.inc();
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// Returns how many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        usize::try_from(self.open.get()).unwrap_or(0)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
