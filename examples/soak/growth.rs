//! Judges whether anything has grown.
//!
//! The beginning is the second minute: by then, caches and pools are filled. In a short run,
//! it's the third fifth. The end is the last tenth. The medians of both are compared, so that
//! a single peak doesn't matter.

use std::{fmt, time::Duration};

use crate::{BoxError, record::Record, usage::Usage};

/// The shortest run that can be judged. Shorter ones have too few samples.
const MIN_DURATION: Duration = Duration::from_secs(10);

/// How much above the beginning the end may be, besides the slack of each measure.
const RATIO: f64 = 1.05;

/// One of the measured resources.
struct Measure {
    name: &'static str,
    /// The change that is noise, even if it's small compared with the beginning.
    slack: f64,
    of: fn(&Usage) -> f64,
}

const MEASURES: [Measure; 3] = [
    Measure {
        name: "MiB",
        slack: 4.0,
        of: Usage::mebibytes,
    },
    Measure {
        name: "sockets",
        slack: 50.0,
        of: |usage| usage.sockets as f64,
    },
    Measure {
        name: "tasks",
        slack: 50.0,
        of: |usage| usage.tasks as f64,
    },
];

/// The beginning and the end of a run.
pub(crate) struct Verdict(Vec<Comparison>);

struct Comparison {
    name: &'static str,
    beginning: f64,
    end: f64,
    limit: f64,
}

/// Compares the end of a run with its beginning.
///
/// # Errors
///
/// Fails if the run is too short.
pub(crate) fn judge(record: &Record) -> Result<Verdict, BoxError> {
    if record.duration < MIN_DURATION {
        let (least, duration) = (MIN_DURATION.as_secs(), record.duration.as_secs());
        return Err(format!(
            "the run took {duration} s, which is too short to see growth; expected at least \
             {least} s (--fetches)"
        )
        .into());
    }
    let minute = Duration::from_secs(60);
    let start = minute.min(record.duration * 2 / 5);
    let interval = minute.min(record.duration / 5);
    let tail = record.duration - record.duration / 10;
    let comparisons = MEASURES.iter().map(|measure| {
        let beginning = median(record, measure, start, start + interval)?;
        let end = median(record, measure, tail, record.duration)?;
        Some(Comparison {
            name: measure.name,
            beginning,
            end,
            limit: RATIO * beginning + measure.slack,
        })
    });
    let comparisons: Option<_> = comparisons.collect();
    let comparisons = comparisons.ok_or("the service reported no usage for a tenth of the run")?;
    Ok(Verdict(comparisons))
}

/// Returns the median of the samples between two times, or `None` if there are none.
fn median(record: &Record, measure: &Measure, from: Duration, to: Duration) -> Option<f64> {
    let samples = record.samples.iter();
    let samples = samples.filter(|sample| (from..=to).contains(&sample.at));
    let mut values: Vec<f64> = samples.map(|sample| (measure.of)(&sample.usage)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl Comparison {
    fn has_grown(&self) -> bool {
        self.end > self.limit
    }
}

impl Verdict {
    /// Describes each resource that has grown.
    pub(crate) fn problems(&self) -> Vec<String> {
        let grown = self.0.iter().filter(|comparison| comparison.has_grown());
        let problems = grown.map(|comparison| format!("the service grows: {comparison}"));
        problems.collect()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            beginning,
            end,
            limit,
        } = self;
        write!(
            f,
            "{beginning:.1} {name} at the beginning, {end:.1} at the end, limit {limit:.1}"
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Sample;

    /// A record of `seconds` with the usage that `usage` returns for each.
    fn record(seconds: u64, usage: fn(u64) -> Usage) -> Record {
        let mut record = Record::new(usage(0));
        record.samples = (0..seconds)
            .map(|second| Sample {
                at: Duration::from_secs(second),
                usage: usage(second),
            })
            .collect();
        record.duration = Duration::from_secs(seconds);
        record
    }

    fn usage(memory: u64, sockets: u64, tasks: u64) -> Usage {
        Usage {
            memory,
            files: sockets + 10,
            sockets,
            tasks,
        }
    }

    /// Returns the problems of a run that takes `seconds`.
    fn problems(seconds: u64, usage: fn(u64) -> Usage) -> String {
        let verdict = judge(&record(seconds, usage)).unwrap();
        verdict.problems().join("\n")
    }

    #[test]
    fn steady_usage_passes() {
        assert_eq!(problems(900, |_| usage(50 << 10, 400, 500)), "");
    }

    #[test]
    fn growth_within_the_first_minute_passes() {
        let grows_first = |second: u64| usage((20 + second.min(60)) << 10, 400, 500);
        assert_eq!(problems(900, grows_first), "");
    }

    #[test]
    fn peaks_pass() {
        let peaks = |second: u64| {
            let is_peak = second.is_multiple_of(3);
            usage(50 << 10, if is_peak { 900 } else { 400 }, 500)
        };
        assert_eq!(problems(900, peaks), "");
    }

    #[test]
    fn each_resource_that_grows_is_named() {
        let grown = problems(900, |second| usage(50 << 10, 400, 500 + second / 5));
        let expected = "the service grows: 518.0 tasks at the beginning, 671.0 at the end, \
                        limit 593.9";
        assert_eq!(grown, expected);

        let grown = problems(900, |second| {
            usage((50 << 10) + second * 20, 400 + second, 500)
        });
        assert!(
            grown.contains(" MiB at ") && grown.contains(" sockets at "),
            "{grown}"
        );
        assert!(!grown.contains(" tasks at "), "{grown}");
    }

    #[test]
    fn short_runs_are_judged_too() {
        let grown = problems(100, |second| usage((50 << 10) + second * 200, 400, 500));
        assert!(grown.contains("59.8 MiB at the beginning"), "{grown}");
    }

    #[test]
    fn runs_that_are_too_short_are_not_judged() {
        let error = judge(&record(9, |_| usage(50 << 10, 400, 500)))
            .err()
            .unwrap();
        assert!(error.to_string().starts_with("the run took 9 s"), "{error}");
    }
}
