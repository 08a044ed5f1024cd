//! Measures what it costs to watch the service: small fetches with and without log lines,
//! traces, scrapes and an open admin page, with few and with many sampled calls, and with a
//! collector that's gone, slow or doesn't answer. The settings take turns, and each round compares
//! them to the one with nothing on.
//!
//! `cargo bench --bench observability`

#![allow(clippy::pedantic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::Duration;

use fetchd::proto::{FetchBatchRequest, fetch_service_client::FetchServiceClient};
use support::{
    Origin, Process,
    caller::{self, loopback},
    collector::{Behaviour, Collector},
    metrics::{get, metrics},
    reply, requests,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;

/// The fetches of a call, and the calls of each setting in a round. Together they're those of
/// W1 in the comparison, 100,000 with 50 in flight, in enough calls for a ratio of them to be
/// traced.
const REQUESTS: usize = 500;
const CALLS: usize = 200;
const ROUNDS: usize = 9;

/// How often the page and the metrics are read. Both is more often than usual.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// Logs the first line, from which we know the addresses, and nothing else.
const QUIET: &str = "fetchd::cli=info";

/// A service with one of the settings.
struct Setting {
    name: &'static str,
    service: Process,
    client: FetchServiceClient<Channel>,
    /// Reads the page and the metrics.
    _watching: Option<AbortOnDropHandle<()>>,
    /// Seconds of a round: how long it took, and the CPU time of the service.
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

#[tokio::main]
async fn main() {
    let collector = Collector::that(Behaviour::Forgets).await;
    let silent = Collector::that(Behaviour::Silent).await;
    let slow = Collector::that(Behaviour::Late(Duration::from_secs(1))).await;
    let gone = "http://127.0.0.1:1";
    let origin = Origin::new(|_| async { reply(vec![b'x'; 1 << 10]) }).await;
    let batch = FetchBatchRequest {
        requests: requests(vec![origin.url("path"); REQUESTS]),
        ..Default::default()
    };
    let mut settings = Vec::new();
    for (name, endpoint, ratio, rust_log) in [
        ("nothing", "", "0", QUIET),
        ("log", "", "0", "info"),
        ("all, 1 % traced", &*collector.url, "0.01", "info"),
        ("all, 100 % traced", &collector.url, "1", "info"),
        ("100 %, collector gone", gone, "1", QUIET),
        ("100 %, collector slow", &slow.url, "1", QUIET),
        ("100 %, collector hung", &silent.url, "1", QUIET),
    ] {
        let is_watched = name.starts_with("all");
        settings.push(Setting::new(name, endpoint, ratio, rust_log, is_watched).await);
    }
    for round in 0..=ROUNDS {
        for setting in &mut settings {
            setting.fetch(&batch).await;
        }
        if round == 0 {
            // Connections, caches and allocations.
            settings.iter_mut().for_each(Setting::forget);
        }
    }
    println!(
        "on                       time  (range)         CPU   (range)         memory  dropped"
    );
    let off = (settings[0].wall.clone(), settings[0].cpu.clone());
    for setting in &settings {
        let counters = metrics(&setting.service.admin).await;
        println!(
            "{:<23}  {}  {}  {:>3} MiB  {:>6}",
            setting.name,
            ratios(&setting.wall, &off.0),
            ratios(&setting.cpu, &off.1),
            setting.service.peak_memory() >> 20,
            counters["fetchd_traces_dropped_total"],
        );
    }
    let each = median(off.1) / (CALLS * REQUESTS) as f64;
    println!("with nothing on, a fetch takes {:.1} µs of CPU", each * 1e6);
}

impl Setting {
    async fn new(
        name: &'static str,
        endpoint: &str,
        ratio: &str,
        rust_log: &str,
        is_watched: bool,
    ) -> Self {
        let arguments: &[&str] = if is_watched { &["--admin-hosts"] } else { &[] };
        let variables = [
            ("FETCHD_OTLP_ENDPOINT", endpoint),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", ratio),
            ("RUST_LOG", rust_log),
        ];
        let service = Process::serve_with(arguments, &variables);
        let watching = is_watched.then(|| tokio::spawn(watch(service.admin.clone())));
        Self {
            name,
            client: caller::client(&service.url, loopback(1)).await,
            service,
            _watching: watching.map(AbortOnDropHandle::new),
            wall: Vec::new(),
            cpu: Vec::new(),
        }
    }

    async fn fetch(&mut self, batch: &FetchBatchRequest) {
        let before = self.service.cpu_time();
        let mut took = Duration::ZERO;
        for _ in 0..CALLS {
            took += caller::fetch(&mut self.client, batch.clone()).await;
        }
        self.wall.push(took.as_secs_f64());
        self.cpu.push(self.service.cpu_time() - before);
    }

    fn forget(&mut self) {
        self.wall.clear();
        self.cpu.clear();
    }
}

/// Reads what Prometheus and an open admin page read.
async fn watch(admin: String) {
    let mut ticks = tokio::time::interval(READ_INTERVAL);
    loop {
        ticks.tick().await;
        for path in ["/metrics", "/status.json"] {
            assert_eq!(get(&admin, path).await.0, 200);
        }
    }
}

/// Formats the median and the range of the ratios of each round.
fn ratios(these: &[f64], those: &[f64]) -> String {
    let ratios: Vec<_> = these.iter().zip(those).map(|(a, b)| a / b).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    format!("{:.2}  ({least:.2} to {most:.2})", median(ratios))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
