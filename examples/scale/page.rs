//! The page: a template, with the figures of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs,
};

use crate::{
    choice::Rule,
    growth,
    hosts::Popularity,
    loss,
    measure::{self, BoxError},
    paper::{self, thousands},
    reuse,
    rollout::{self, Step},
    run::Run,
    scale::{CALLERS, HOSTS, RATE, REPLICAS},
    spread,
};

const TEMPLATE: &str = include_str!("page.md");

/// The values of the names in the template.
#[derive(Default)]
pub(crate) struct Values(BTreeMap<String, String>);

impl Values {
    pub(crate) fn set(&mut self, name: &str, value: impl Display) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// Replaces each `{name}` in the template.
    fn fill(&self, template: &str) -> Result<String, BoxError> {
        let mut page = String::new();
        let mut used = BTreeSet::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("expected } after {")?;
            let value = self
                .0
                .get(name)
                .ok_or_else(|| format!("nothing sets {{{name}}}"))?;
            page.extend([before, value]);
            used.insert(name);
            rest = after;
        }
        page.push_str(rest);
        match self.0.keys().find(|name| !used.contains(name.as_str())) {
            Some(name) => Err(format!("the template has no {{{name}}}").into()),
            None => Ok(page),
        }
    }
}

/// Returns the page. `measured` is the file with the measured figures.
pub(crate) fn render(run: &Run, measured: &str) -> Result<String, BoxError> {
    let mut values = Values::default();
    values.set("replicas", thousands(REPLICAS.into()));
    values.set("hosts", thousands(HOSTS.into()));
    values.set("callers", CALLERS);
    values.set("rate", thousands(RATE));
    spread_values(run, &mut values);
    reuse_values(run, &mut values);
    loss_values(run, &mut values);
    rollout_values(run, &mut values);
    growth_values(run, &mut values);
    paper::fill(&mut values);
    measured_values(&fs::read_to_string(measured)?, &mut values)?;
    values.fill(TEMPLATE)
}

fn spread_values(run: &Run, values: &mut Values) {
    let mut rows = Vec::new();
    for popularity in Popularity::ALL {
        for rule in Rule::ALL {
            let runs = run.spreads.iter();
            let runs = runs.filter(|run| run.popularity == popularity && run.rule == rule);
            let cells = runs.map(|run| format!("{:.1}, {:.1}", run.spread.max, run.spread.p99));
            rows.push((
                format!("{}, {}", popularity.label(), rule.label()),
                cells.collect(),
            ));
        }
    }
    let bounds =
        spread::CONCURRENCIES.map(|concurrency| spread::bound(concurrency, REPLICAS.into()));
    let cells = bounds.iter().map(|bound| format!("at most {bound:.1}"));
    rows.push(("the client's rule".to_owned(), cells.collect()));
    let names = spread::CONCURRENCIES.map(|concurrency| thousands(concurrency as f64));
    values.set(
        "spread_table",
        table("concurrency of each list", &names, &rows),
    );
    let share = run.zipf_top;
    values.set("top_share", percent(share));
    values.set("bound_50", format!("{:.0}", bounds[0]));
    for (name, rule) in [("client", Rule::Client), ("hashing", Rule::Hashing)] {
        let first = run
            .spreads
            .iter()
            .find(|run| run.popularity == Popularity::Zipf && run.rule == rule);
        let first = first.expect("all rules run").spread.max;
        values.set(&format!("zipf_{name}_max"), format!("{first:.0}"));
    }
}

fn reuse_values(run: &Run, values: &mut Values) {
    let rows = run.curves.iter().map(|curve| {
        let name = format!("{}, {}", curve.popularity.label(), curve.rule.label());
        (
            name,
            curve.shares.iter().map(|&share| percent(share)).collect(),
        )
    });
    let rows: Vec<_> = rows.collect();
    let names = reuse::RATES.map(thousands);
    values.set("reuse_table", table("requests a second", &names, &rows));
}

fn loss_values(run: &Run, values: &mut Values) {
    let at = loss::AT;
    let names = [
        "hosts moved: average, most",
        "extra load of another: median, most",
        "all hosts: before, first second",
        "hosts of the replica: before, first second, after 5 s",
    ];
    let rows = run.losses.iter().map(|loss| {
        let record = &loss.record;
        let cells = vec![
            format!("{:.0}, {}", loss.moved.0, loss.moved.1),
            format!("{:.2}, {:.2}", loss.extra.0, loss.extra.1),
            format!(
                "{}, {}",
                percent(record.reuse(at - 4.0, at)),
                percent(record.reuse(at, at + 1.0))
            ),
            format!(
                "{}, {}, {}",
                percent(record.watched_reuse(at - 4.0, at)),
                percent(record.watched_reuse(at, at + 1.0)),
                percent(record.watched_reuse(at + 5.0, at + 9.0))
            ),
        ];
        (loss.popularity.label().to_owned(), cells)
    });
    let rows: Vec<_> = rows.collect();
    values.set("loss_table", table("hosts", &names, &rows));
}

fn rollout_values(run: &Run, values: &mut Values) {
    for moves in &run.moves {
        let name = match moves.step {
            Step::One => "one",
            Step::Quarter => "quarter",
            Step::All => "all",
        };
        values.set(&format!("moves_{name}"), format!("{:.1}", moves.mean));
        values.set(
            &format!("moves_{name}_at_once"),
            format!("{:.1} %", 100.0 * moves.at_once),
        );
    }
    let at = rollout::AT;
    let names = [
        "reuse before",
        "lowest",
        "max, p99 before",
        "highest max, its p99",
    ];
    let rows = run.rollouts.iter().map(|rollout| {
        let seconds = (0..).map(|second| at + f64::from(second));
        let seconds = seconds.take_while(|second| second + 1.0 <= rollout::DURATION);
        let lowest = seconds.map(|second| rollout.record.reuse(second, second + 1.0));
        let [before, highest] = rollout.spreads;
        let cells = vec![
            percent(rollout.record.reuse(at - 4.0, at)),
            percent(lowest.fold(1.0, f64::min)),
            format!("{:.1}, {:.1}", before.max, before.p99),
            format!("{:.1}, {:.1}", highest.max, highest.p99),
        ];
        let name = format!(
            "{}, {}, {} at a time",
            rollout.popularity.label(),
            rollout.rule.label(),
            rollout.step.label()
        );
        (name, cells)
    });
    let rows: Vec<_> = rows.collect();
    values.set("rollout_table", table("", &names, &rows));
}

fn growth_values(run: &Run, values: &mut Values) {
    let at = growth::AT;
    values.set("growth_moved", percent(run.growths[0].moved));
    let names = [
        "reuse before",
        "lowest",
        "after 10 s",
        "max, p99 before",
        "max, p99 after",
    ];
    let rows = run.growths.iter().map(|growth| {
        let record = &growth.record;
        let lowest = (0..10).map(|second| at + f64::from(second));
        let lowest = lowest
            .map(|second| record.reuse(second, second + 1.0))
            .fold(1.0, f64::min);
        let [before, after] = growth.spreads;
        let cells = vec![
            percent(record.reuse(at - 4.0, at)),
            percent(lowest),
            percent(record.reuse(at + 10.0, growth::DURATION)),
            format!("{:.1}, {:.1}", before.max, before.p99),
            format!("{:.1}, {:.1}", after.max, after.p99),
        ];
        (
            format!("{}, {}", growth.popularity.label(), growth.rule.label()),
            cells,
        )
    });
    let rows: Vec<_> = rows.collect();
    values.set("growth_table", table("", &names, &rows));
}

/// Sets the figures of `measure`, and what follows from them at this scale.
fn measured_values(file: &str, values: &mut Values) -> Result<(), BoxError> {
    let mut figures = BTreeMap::new();
    for line in file.lines() {
        let (name, value) = line
            .split_once(' ')
            .ok_or("expected a name and a value a line")?;
        figures.insert(name, value.parse::<f64>()?);
    }
    let figure = |name: &str| {
        figures
            .get(name)
            .copied()
            .ok_or(format!("{name} was not measured"))
    };
    let (service, caller) = (
        figure("service_connection_kib")?,
        figure("caller_connection_kib")?,
    );
    values.set("service_kib", format!("{service:.0}"));
    values.set("caller_kib", format!("{caller:.0}"));
    values.set(
        "service_mib",
        format!("{:.0}", service * CALLERS as f64 / 1024.0),
    );
    values.set(
        "caller_mib",
        format!("{:.0}", caller * f64::from(REPLICAS) / 1024.0),
    );
    values.set("idle_cpu", format!("{:.0} %", figure("idle_cpu_percent")?));
    let times = measure::REPLICAS.map(|replicas| figure(&format!("request_us_{replicas}")));
    let times: Vec<f64> = times.into_iter().collect::<Result<_, _>>()?;
    let cells = times.iter().map(|time| match time {
        1000.0.. => format!("{:.1} ms", time / 1000.0),
        10.0.. => format!("{time:.0} µs"),
        _ => format!("{time:.1} µs"),
    });
    let rows = [(
        "CPU of the caller for a request".to_owned(),
        cells.collect(),
    )];
    let names = measure::REPLICAS.map(|replicas| thousands(replicas as f64));
    values.set("request_table", table("replicas", &names, &rows));
    let [fewer, most] = [2, 1].map(|place| 1e6 / times[times.len() - place]);
    for (name, rate) in [("requests_core", most), ("requests_core_fewer", fewer)] {
        values.set(name, thousands(10.0 * (rate / 10.0).round()));
    }
    let cores = RATE / most;
    values.set("cores", thousands(cores));
    values.set("core_share", percent(cores / CALLERS as f64));
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Returns a table in Markdown. `corner` is the name of the first column.
fn table(corner: &str, names: &[impl AsRef<str>], rows: &[(String, Vec<String>)]) -> String {
    let line = |first: &str, cells: Vec<&str>| format!("| {first} | {} |", cells.join(" | "));
    let mut lines = vec![
        line(corner, names.iter().map(AsRef::as_ref).collect()),
        line("---", vec!["---"; names.len()]),
    ];
    let rows = rows
        .iter()
        .map(|(name, cells)| line(name, cells.iter().map(String::as_str).collect()));
    lines.extend(rows);
    lines.join("\n")
}
