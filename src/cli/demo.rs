//! `fetchd demo` shows what fetchd is for, and needs no network: it fetches URLs from a
//! slow local origin, and compares the time with fetching them one after another.
//!
//! As in `fetchd get`, the service runs inside this process.

mod origin;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};
use fetchd::{
    client::{Client, Outcome},
    config::{Config, Egress},
};
use futures_util::StreamExt;
use tokio::{runtime, time::Instant};
use tracing::level_filters::LevelFilter;

use super::{exit_code, get, logging, print_error};
use origin::SlowOrigin;

/// What to fetch.
struct Demo {
    /// The time that the origin takes for each response.
    delay: Duration,
    /// Max number of requests in flight.
    concurrency: u32,
    /// The number of URLs, for each row of the table.
    rows: &'static [u32],
}

/// Takes 11 times the delay: 15 URLs take it once, 100 twice and 400 eight times.
const DEMO: Demo = Demo {
    delay: Duration::from_millis(1500),
    concurrency: 50,
    rows: &[15, 100, 400],
};

/// The number of results to print after the table.
const SAMPLES: usize = 3;

/// Prints the table and some results.
pub(super) fn run() -> ExitCode {
    logging::init(None, LevelFilter::WARN);
    super::raise_file_limit();
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let shown = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(DEMO.show(&mut io::stdout())));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if get::is_broken_pipe(&error) => ExitCode::from(exit_code::BROKEN_PIPE),
        Err(error) => {
            print_error(format_args!("error: {error:#}"));
            ExitCode::from(exit_code::FAILED)
        }
    }
}

impl Demo {
    /// Runs the demo, and writes each row as soon as we know it.
    async fn show(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let origin = SlowOrigin::start(self.delay).await;
        let origin = origin.context("cannot listen on a loopback address")?;
        // The default policy denies loopback addresses.
        let client = get::embedded::client(Config {
            egress: Egress {
                allow_net: vec![origin.address().ip().into()],
                ..Egress::default()
            },
            ..Config::default()
        })?;
        writeln!(
            out,
            "each URL takes {:?}; at most {} requests are in flight; the demo takes {:.0} s",
            self.delay,
            self.concurrency,
            self.duration().as_secs_f64().ceil()
        )?;
        writeln!(
            out,
            "{:>5}  {:>14}  {:>15}",
            "URLs", "one at a time", "through fetchd"
        )?;
        out.flush()?;
        let mut samples = Vec::new();
        for count in self.rows {
            let started = Instant::now();
            let mut outcomes = self.fetch(&client, &origin, *count).await?;
            let took = started.elapsed().as_secs_f64();
            let one_at_a_time = self.delay.as_secs_f64() * f64::from(*count);
            writeln!(out, "{count:>5}  {one_at_a_time:>12.1} s  {took:>13.2} s")?;
            out.flush()?;
            outcomes.truncate(SAMPLES);
            samples = outcomes;
        }
        writeln!(out, "\nthe first results, as `fetchd get` prints them:")?;
        for outcome in samples {
            let url = origin.url(outcome.index);
            writeln!(out, "{}", get::result_line(&url, &outcome)?)?;
        }
        Ok(())
    }

    /// Fetches `count` URLs. Fails if one of the results isn't right.
    async fn fetch(
        &self,
        client: &Client,
        origin: &SlowOrigin,
        count: u32,
    ) -> anyhow::Result<Vec<Outcome>> {
        let urls = (0..count).map(|index| origin.url(index));
        let fetch = client.fetch(urls).concurrency(self.concurrency);
        let outcomes: Vec<_> = fetch.in_order().collect().await;
        for (index, outcome) in outcomes.iter().enumerate() {
            if let Some(error) = &outcome.error {
                return Err(error.clone().into());
            }
            let body = outcome.response.as_ref().map(|response| &*response.body);
            let expected = format!("/{index}");
            ensure!(
                body == Some(expected.as_bytes()),
                "expected the body {expected:?}, got {:?}",
                body.map(String::from_utf8_lossy)
            );
        }
        Ok(outcomes)
    }

    /// How long all rows take together.
    fn duration(&self) -> Duration {
        let rounds = self
            .rows
            .iter()
            .map(|count| count.div_ceil(self.concurrency));
        self.delay * rounds.sum::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn table_and_results_are_printed() {
        let demo = Demo {
            delay: Duration::from_millis(20),
            concurrency: 2,
            rows: &[2, 5],
        };
        let mut printed = Vec::new();
        demo.show(&mut printed).await.unwrap();

        let printed = String::from_utf8(printed).unwrap();
        let mut lines = printed.lines();
        let mut next = || lines.next().unwrap_or_default();
        assert_eq!(
            next(),
            "each URL takes 20ms; at most 2 requests are in flight; the demo takes 1 s"
        );
        assert_eq!(next(), " URLs   one at a time   through fetchd");
        for (count, one_at_a_time, rounds) in [("2", "0.0", 1.0), ("5", "0.1", 3.0)] {
            let fields: Vec<_> = next().split_whitespace().collect();
            let [printed_count, printed_time, "s", took, "s"] = fields[..] else {
                panic!("{printed}");
            };
            assert_eq!((printed_count, printed_time), (count, one_at_a_time));
            // The origin can't be faster than that.
            assert!(took.parse::<f64>().unwrap() >= 0.02 * rounds, "{printed}");
        }
        assert_eq!(next(), "");
        assert_eq!(next(), "the first results, as `fetchd get` prints them:");
        for index in 0..SAMPLES {
            let line: serde_json::Value = serde_json::from_str(next()).unwrap();
            assert_eq!(line["index"], index);
            assert_eq!(line["status"], 200);
            assert_eq!(line["body"], format!("/{index}"));
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn the_demo_is_announced_with_its_duration() {
        assert_eq!(DEMO.duration(), Duration::from_millis(16_500));
    }
}
