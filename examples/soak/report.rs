//! Judges what the service has used.

use std::fmt;

use crate::{
    plot::{Figure, Kind, Panel, Series},
    service::Sample,
    usage::Usage,
};

/// What the service used before, under load, and after.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) before: Usage,
    /// One sample a second.
    pub(crate) under_load: Vec<Sample>,
    pub(crate) after: Usage,
}

/// The amounts that must not grow: the name, how to read it, and how much of it is noise.
const AMOUNTS: [Amount; 3] = [
    Amount {
        name: "memory, KiB",
        read: |usage| usage.memory,
        noise: 4 << 10,
    },
    Amount {
        name: "sockets",
        read: |usage| usage.sockets,
        noise: 40,
    },
    Amount {
        name: "tasks",
        read: |usage| usage.tasks,
        noise: 80,
    },
];

struct Amount {
    name: &'static str,
    read: fn(&Usage) -> u64,
    noise: u64,
}

/// How long a run has to be to be judged, in seconds.
const LEAST_SAMPLES: usize = 60;

/// How much more than at first there may be in the end, in percent.
const GROWTH: u64 = 5;

impl Report {
    /// Returns everything that's wrong.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.under_load.len() < LEAST_SAMPLES {
            let count = self.under_load.len();
            problems.push(format!(
                "{count} s are too short to see growth, {LEAST_SAMPLES} needed"
            ));
        }
        for Amount { name, read, noise } in AMOUNTS {
            let (first, last) = (median(self.first(), read), median(self.last(), read));
            if last > first + first * GROWTH / 100 + noise {
                problems.push(format!("{name} grew from {first} to {last}"));
            }
        }
        if self.after.is_above(&self.before) {
            let Self { before, after, .. } = self;
            problems.push(format!("expected {before} at the end, got {after}"));
        }
        problems
    }

    /// Draws the amounts over time.
    pub(crate) fn plot(&self) -> Figure {
        let fetches = self.under_load.last().map_or(0, |last| last.fetches);
        let title = format!(
            "The service during {:.1} million mixed fetches",
            millions(fetches)
        );
        let figure = Figure::new(title, 2);
        let figure = figure.panel(panel(
            "memory",
            "MiB",
            self.series(|sample| {
                f64::from(u32::try_from(sample.usage.memory).unwrap_or(u32::MAX)) / 1024.0
            }),
        ));
        let figure = figure.panel(panel(
            "sockets",
            "open",
            self.series(|sample| {
                f64::from(u32::try_from(sample.usage.sockets).unwrap_or(u32::MAX))
            }),
        ));
        let figure = figure.panel(panel(
            "tasks",
            "alive",
            self.series(|sample| f64::from(u32::try_from(sample.usage.tasks).unwrap_or(u32::MAX))),
        ));
        figure.panel(panel(
            "fetches",
            "millions",
            self.series(|sample| millions(sample.fetches)),
        ))
    }

    fn series(&self, read: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
        let samples = (0_u32..).zip(&self.under_load);
        samples
            .map(|(second, sample)| (f64::from(second) / 60.0, read(sample)))
            .collect()
    }

    /// The second minute, or the second tenth if the run is shorter than ten minutes.
    fn first(&self) -> &[Sample] {
        let count = self.under_load.len();
        let length = (count / 10).min(60);
        &self.under_load[length..2 * length]
    }

    /// The last tenth.
    fn last(&self) -> &[Sample] {
        let count = self.under_load.len();
        &self.under_load[count - count / 10..]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Amount { name, read, .. } in AMOUNTS {
            let (first, last) = (median(self.first(), read), median(self.last(), read));
            let (before, after) = (read(&self.before), read(&self.after));
            writeln!(
                f,
                "{name}: {before} before, {first} at first, {last} at last, {after} after"
            )?;
        }
        Ok(())
    }
}

fn panel(title: &str, unit: &str, points: Vec<(f64, f64)>) -> Panel {
    Panel {
        title: title.to_owned(),
        x: "minutes".to_owned(),
        y: unit.to_owned(),
        series: vec![Series {
            name: title.to_owned(),
            points,
            kind: Kind::Line,
        }],
    }
}

fn median(samples: &[Sample], read: fn(&Usage) -> u64) -> u64 {
    let mut values: Vec<_> = samples.iter().map(|sample| read(&sample.usage)).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[allow(clippy::cast_precision_loss)] // It's for people.
fn millions(count: u64) -> f64 {
    count as f64 / 1e6
}
