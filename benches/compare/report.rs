//! The Markdown report.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, process::Command};

use super::{
    measure::{Measure, spread},
    setup::Setup,
};

/// The report. Tables are added one by one.
pub struct Report {
    head: String,
    ratios: String,
    sections: String,
}

/// The results of one workload.
pub struct Section {
    pub title: String,
    pub note: String,
    pub measures: BTreeMap<&'static str, Vec<Measure>>,
}

type Figure = fn(&Measure) -> f64;

impl Report {
    pub fn new(setup: &Setup, rounds: usize, is_short: bool) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = cpu.map_or("unknown", |model| {
            model.trim_start_matches([' ', '\t', ':'])
        });
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = read("/proc/sys/kernel/osrelease");
        let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
        let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let mut head = String::from("# fetchd and its alternatives\n\n");
        let _ = writeln!(
            head,
            "Written by `cargo bench --bench compare`{} on {}: {cpu}, {cores} cores, Linux {}. \
             The contenders take turns; each figure is the median of {rounds} rounds, with the \
             lowest and the highest in parentheses. The origin runs on the same cores.\n",
            if is_short { " with `--short`" } else { "" },
            date.unwrap_or_default(),
            kernel.trim(),
        );
        let _ = writeln!(head, "{}.\n", setup.versions().join("; "));
        for missing in &setup.missing {
            let _ = writeln!(head, "Not measured: {missing}.\n");
        }
        Self {
            head,
            ratios: String::new(),
            sections: String::new(),
        }
    }

    /// Adds a figure with a target, which is empty if there is none.
    pub fn ratio(&mut self, name: &str, values: Vec<f64>, digits: usize, target: &str) {
        let spread = spread(values, digits);
        let _ = writeln!(self.ratios, "| {name} | {spread} | {target} |");
    }

    /// Adds the ratio of one contender's figure to another's, if both took part.
    pub fn compare(
        &mut self,
        name: &str,
        measures: &BTreeMap<&'static str, Vec<Measure>>,
        (one, of_one): (&str, Figure),
        (other, of_other): (&str, Figure),
        target: &str,
    ) {
        if let (Some(ones), Some(others)) = (measures.get(one), measures.get(other)) {
            let rounds = ones.iter().zip(others);
            let ratios = rounds.map(|(one, other)| of_one(one) / of_other(other));
            self.ratio(name, ratios.collect(), 3, target);
        }
    }

    /// Adds the table of a workload.
    pub fn section(&mut self, section: Section) {
        let text = &mut self.sections;
        let _ = writeln!(text, "## {}\n", section.title);
        if !section.note.is_empty() {
            let _ = writeln!(text, "{}\n", section.note);
        }
        text.push_str(
            "| | fetches/s | CPU µs/fetch | caller CPU µs/fetch | peak MiB | first ms | p50 ms | p99 ms |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for (name, measures) in &section.measures {
            let column = |figure: fn(&Measure) -> Option<f64>, digits| {
                spread(measures.iter().filter_map(figure).collect(), digits)
            };
            let _ = writeln!(
                text,
                "| {name} | {} | {} | {} | {} | {} | {} | {} |",
                column(
                    |measure| Some(measure.rate()),
                    if measures[0].rate() < 100.0 { 2 } else { 0 }
                ),
                column(|measure| Some(measure.cpu()), 1),
                column(Measure::caller, 1),
                column(|measure| measure.memory, 0),
                column(|measure| measure.first_ms, 1),
                column(|measure| measure.p50_ms, 2),
                column(|measure| measure.p99_ms, 2),
            );
        }
        text.push('\n');
    }

    /// Prints the report, and writes it to `path`.
    pub fn write(&self, path: &Path) {
        let text = format!(
            "{}## Targets\n\n| | measured | at most |\n| --- | --- | --- |\n{}\n{}",
            self.head,
            self.ratios,
            self.sections.trim_end()
        ) + "\n";
        print!("{text}");
        fs::write(path, text).expect("the results can be written");
        println!("\nwritten to {}", path.display());
    }
}
