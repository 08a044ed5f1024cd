//! The plots of the page.

use std::path::Path;

use crate::{
    choice::Rule,
    growth,
    hosts::Popularity,
    loss,
    measure::BoxError,
    plot::{Figure, Kind, Panel, Series},
    reuse, rollout,
    run::Run,
    scale::REPLICAS,
    spread,
    traffic::{Record, SLICE},
};

type Points = Vec<(f64, f64)>;

/// The labels of a panel.
#[derive(Clone, Copy)]
struct Labels {
    x: &'static str,
    y: &'static str,
}

/// The highest concurrency in the plot. Beyond that, little changes.
const MAX_CONCURRENCY: usize = 1024;

/// The highest rate in the plot, in requests per second.
const MAX_RATE: f64 = 1e5;

/// How long before an event a plot begins, in seconds.
const BEFORE: f64 = 4.0;

const TIME: &str = "seconds";
const REUSE: &str = "reused connections, %";

/// Writes all plots into a folder.
pub(crate) fn write(run: &Run, folder: &Path) -> Result<(), BoxError> {
    let figures = [
        ("spread", spread_figure(run)),
        ("reuse", reuse_figure(run)),
        ("loss", loss_figure(run)),
        ("rollout", rollout_figure(run)),
        ("growth", growth_figure(run)),
    ];
    for (name, figure) in figures {
        figure.write(&folder.join(format!("scale-{name}.svg")))?;
    }
    Ok(())
}

fn spread_figure(run: &Run) -> Figure {
    by_popularity(
        "Load of the busiest replica, relative to the mean",
        |popularity| {
            let load = |rule| {
                let runs = run.spreads.iter().filter(move |run| {
                    run.popularity == popularity
                        && run.rule == rule
                        && run.concurrency <= MAX_CONCURRENCY
                });
                runs.map(|run| (run.concurrency as f64, run.spread.max))
                    .collect()
            };
            let mut lines: Vec<(&str, Points)> =
                Rule::ALL.map(|rule| (rule.label(), load(rule))).into();
            if popularity == Popularity::Zipf {
                let concurrencies = spread::CONCURRENCIES
                    .into_iter()
                    .take_while(|&c| c <= MAX_CONCURRENCY);
                let bound = |concurrency| {
                    (
                        concurrency as f64,
                        spread::bound(concurrency, REPLICAS.into()),
                    )
                };
                lines.push(("limit of the client", concurrencies.map(bound).collect()));
            }
            let labels = Labels {
                x: "concurrency of each list",
                y: "max/mean",
            };
            (labels, lines)
        },
    )
}

fn reuse_figure(run: &Run) -> Figure {
    by_popularity(
        "Reused connections, by the rate of requests",
        |popularity| {
            let curves = run
                .curves
                .iter()
                .filter(|curve| curve.popularity == popularity);
            let lines = curves.map(|curve| {
                let points = reuse::RATES.iter().zip(&curve.shares);
                let points = points.take_while(|(rate, _)| **rate <= MAX_RATE);
                (
                    curve.rule.label(),
                    points.map(|(rate, share)| (*rate, 100.0 * share)).collect(),
                )
            });
            let labels = Labels {
                x: "requests a second",
                y: REUSE,
            };
            (labels, lines.collect())
        },
    )
}

fn loss_figure(run: &Run) -> Figure {
    by_popularity("The busiest replica is killed at 0 s", |popularity| {
        let loss = run.losses.iter().find(|loss| loss.popularity == popularity);
        let record = &loss.expect("both popularities run").record;
        let points = |reuse: fn(&Record, f64, f64) -> f64| {
            over_time(loss::AT, loss::DURATION, 2.0 * SLICE, |from, to| {
                reuse(record, from, to)
            })
        };
        let lines = vec![
            ("all hosts", points(Record::reuse)),
            ("hosts of the replica", points(Record::watched_reuse)),
        ];
        (Labels { x: TIME, y: REUSE }, lines)
    })
}

fn rollout_figure(run: &Run) -> Figure {
    by_popularity("All replicas are replaced, from 0 s on", |popularity| {
        let runs = run
            .rollouts
            .iter()
            .filter(|run| run.popularity == popularity);
        let lines = runs.map(|run| {
            let name = match (run.rule, run.step) {
                (Rule::Random, _) => "25 %, random",
                (_, step) => step.label(),
            };
            let points = over_time(rollout::AT, rollout::DURATION, SLICE, |from, to| {
                run.record.reuse(from, to)
            });
            (name, points)
        });
        (Labels { x: TIME, y: REUSE }, lines.collect())
    })
}

fn growth_figure(run: &Run) -> Figure {
    by_popularity("500 replicas become 1,000 at 0 s", |popularity| {
        let runs = run
            .growths
            .iter()
            .filter(|growth| growth.popularity == popularity);
        let lines = runs.map(|growth| {
            let points = over_time(growth::AT, growth::DURATION, SLICE, |from, to| {
                growth.record.reuse(from, to)
            });
            (growth.rule.label(), points)
        });
        (Labels { x: TIME, y: REUSE }, lines.collect())
    })
}

/// Draws a panel for uniform hosts and one for those of a Zipf law.
fn by_popularity(
    title: &str,
    panel: impl Fn(Popularity) -> (Labels, Vec<(&'static str, Points)>),
) -> Figure {
    let panels = Popularity::ALL.map(|popularity| {
        let (labels, lines) = panel(popularity);
        Panel {
            title: format!("{} hosts", popularity.label()),
            x: labels.x.to_owned(),
            y: labels.y.to_owned(),
            series: lines
                .into_iter()
                .map(|(name, points)| line(name, points))
                .collect(),
        }
    });
    panels
        .into_iter()
        .fold(Figure::new(title, 2), Figure::panel)
}

/// Returns shares in percent, from shortly before the time `at`, which is 0 in the plot. A point
/// stands for the `step` seconds before it.
fn over_time(at: f64, end: f64, step: f64, share: impl Fn(f64, f64) -> f64) -> Points {
    let count = ((end - at + BEFORE) / step) as u32;
    let ends = (1..=count).map(|place| at - BEFORE + f64::from(place) * step);
    ends.map(|end| (end - at, 100.0 * share(end - step, end)))
        .collect()
}

fn line(name: &str, points: Points) -> Series {
    Series {
        name: name.to_owned(),
        points,
        kind: Kind::Line,
    }
}
