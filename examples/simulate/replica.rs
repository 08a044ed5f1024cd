//! A replica: a machine with a server.

use std::{net::IpAddr, time::Duration};

use fetchd::{
    config::Config,
    server::{Server, Shutdown},
};
use tokio::{task::JoinHandle, time};

use crate::machine::Machine;

/// A running server.
pub(crate) struct Replica {
    pub(crate) ip: IpAddr,
    server: Server,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

/// The port of the service.
pub(crate) const PORT: u16 = 50051;

impl Replica {
    /// Starts a server on `machine`.
    pub(crate) fn start(machine: &Machine, config: &Config) -> Self {
        let mut config = config.clone();
        config.origins.network = machine.net();
        let server = Server::new(config).expect("the settings of simulations are valid");
        let shutdown = Shutdown::new();
        let serving = server.clone().serve(machine.listen(PORT), shutdown.clone());
        Self {
            ip: machine.ip,
            server,
            shutdown,
            serving: tokio::spawn(async {
                let _ = serving.await;
            }),
        }
    }

    /// Asks the server to shut down.
    pub(crate) fn drain(&self) {
        self.shutdown.request();
    }

    /// Ends all tasks of the server. The machine has to be off the network by now.
    pub(crate) async fn kill(self) {
        self.serving.abort();
        // One that was drained has ended already.
        if !self.serving.is_finished() {
            let _ = self.serving.await;
        }
    }

    /// Waits until a drain is over. Returns false if it takes longer than `limit`.
    pub(crate) async fn drained(&mut self, limit: Duration) -> bool {
        time::timeout(limit, &mut self.serving).await.is_ok()
    }

    /// Returns what the server holds although it has nothing to do, from its metrics.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.other_than_zero(&AMOUNTS)
    }

    /// Returns what went wrong inside the server, from its metrics.
    pub(crate) fn bugs(&self) -> Vec<String> {
        self.other_than_zero(&BUGS)
    }

    /// Returns the limits that the server exceeds, from its metrics.
    pub(crate) fn excesses(&self) -> Vec<String> {
        let metrics = self.server.admin().metrics();
        let sum = |name: &str| -> f64 {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
            values.sum()
        };
        let excess = |(amount, limit): &(&str, &str)| {
            let (name, amount) = (amount, sum(amount));
            let limit = sum(&format!("fetchd_limit{{limit=\"{limit}\"}}"));
            (amount > limit).then(|| format!("{name} {amount}, more than {limit}"))
        };
        LIMITED.iter().filter_map(excess).collect()
    }

    fn other_than_zero(&self, names: &[&str]) -> Vec<String> {
        let metrics = self.server.admin().metrics();
        let line = |name: &&str| {
            let line = metrics.lines().find(|line| line.starts_with(*name));
            line.map_or_else(|| format!("no metric {name}"), str::to_owned)
        };
        let lines = names.iter().map(line);
        lines.filter(|line| !line.ends_with(" 0")).collect()
    }
}

/// Metrics, and the flags that limit them.
const LIMITED: [(&str, &str); 2] = [
    ("fetchd_batches_active", "max-batches"),
    ("fetchd_fetches_in_flight", "max-in-flight"),
];

/// The metrics that are 0 if a server has had nothing to do for a minute.
const AMOUNTS: [&str; 8] = [
    "fetchd_batches_active",
    "fetchd_connections{side=\"caller\",state=\"active\"}",
    "fetchd_connections{side=\"origin\",state=\"active\"}",
    "fetchd_connections{side=\"origin\",state=\"idle\"}",
    "fetchd_fetches_in_flight",
    "fetchd_fetches_queued",
    "fetchd_queued_bytes",
    "fetchd_stalled",
];

/// The metrics that are 0 if a server has no bug: calls without all ends, and fetches that
/// panicked.
const BUGS: [&str; 2] = [
    "fetchd_batches_total{code=\"INTERNAL\"}",
    "fetchd_fetches_total{outcome=\"internal\"}",
];
