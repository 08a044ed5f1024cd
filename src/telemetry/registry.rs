//! Creates metrics and registers them.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector, process_collector::ProcessCollector,
};

/// All families of metrics: those of the service, and those of its process.
pub(super) struct Families(Registry);

/// The upper bounds of all histograms, in seconds: from a response of a neighbour to the
/// maximum timeout. One layout for all, so that their quantiles can be compared. With the
/// last bucket, the sum and the count, a histogram has 20 series.
pub(super) const SECONDS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 600.0,
];

const VALID: &str = "the names of metrics and labels are valid";

impl Families {
    pub(super) fn new() -> Self {
        let families = Self(Registry::new());
        let process = families.0.register(Box::new(ProcessCollector::for_self()));
        process.expect("no other metric is named process_*");
        families
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help).expect(VALID))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help).expect(VALID))
    }

    pub(super) fn counters(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label]).expect(VALID))
    }

    /// Creates a histogram of durations in seconds.
    pub(super) fn histogram(&self, name: &str, help: &str) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.add(Histogram::with_opts(options).expect(VALID))
    }

    /// Renders all metrics in the Prometheus text format.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.0.gather(), &mut text) {
            tracing::error!(%error, "encoding the metrics failed");
        }
        text
    }

    fn add<C: Collector + Clone + 'static>(&self, metric: C) -> C {
        let registered = self.0.register(Box::new(metric.clone()));
        registered.expect("every metric has a name of its own");
        metric
    }
}
