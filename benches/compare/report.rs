//! The Markdown report.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, process::Command};

use super::{
    measure::{Measure, spread},
    results::{Results, workload},
    setup::Setup,
};

/// The report. Tables are added one by one.
pub struct Report {
    /// The command, the machine and the versions of the tools.
    origin: String,
    results: Results,
}

/// The results of one workload.
pub struct Section {
    pub title: String,
    pub note: String,
    pub columns: &'static [Column],
    pub measures: BTreeMap<&'static str, Vec<Measure>>,
}

/// A column: its title, the figure, and the number of digits after the point. By default,
/// there are two for small figures, and none for others.
pub type Column = (&'static str, fn(&Measure) -> Option<f64>, Option<usize>);

type Figure = fn(&Measure) -> f64;

/// The usual columns.
pub const FETCHES: &[Column] = &[
    ("fetches/s", |measure| Some(measure.rate()), None),
    ("CPU µs/fetch", |measure| Some(measure.cpu()), Some(1)),
    ("caller CPU µs/fetch", Measure::caller, Some(1)),
    ("peak MiB", |measure| measure.memory, Some(0)),
    ("first ms", |measure| measure.first_ms, Some(1)),
    ("p50 ms", |measure| measure.p50_ms, Some(2)),
    ("p99 ms", |measure| measure.p99_ms, Some(2)),
];

impl Report {
    pub fn new(setup: &Setup, arguments: &[String], rounds: usize) -> Self {
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
        let mut command = "cargo bench --bench compare".to_owned();
        let arguments: Vec<_> = arguments.iter().filter(|it| *it != "--bench").collect();
        for (index, argument) in arguments.into_iter().enumerate() {
            let _ = write!(command, "{}{argument}", [" -- ", " "][index.min(1)]);
        }
        let mut origin = format!(
            "Written by `{command}` on {}: {cpu}, {cores} cores, Linux {}. \
             The contenders take turns; each figure is the median of {rounds} rounds, with the \
             lowest and the highest in parentheses. The origin runs on the same cores.",
            date.unwrap_or_default(),
            kernel.trim(),
        );
        let _ = write!(origin, "\n\n{}.", setup.versions().join("; "));
        for missing in &setup.missing {
            let _ = write!(origin, "\n\nNot measured: {missing}.");
        }
        Self {
            origin,
            results: Results::default(),
        }
    }

    /// Adds a figure with a target, which is empty if there is none.
    pub fn ratio(&mut self, name: &str, values: Vec<f64>, digits: usize, target: &str) {
        let spread = spread(values, digits);
        let row = format!("| {name} | {spread} | {target} |");
        self.results.targets.push(row);
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
        let mut text = format!("{}\n\n", section.title);
        if !section.note.is_empty() {
            let _ = write!(text, "{}\n\n", section.note);
        }
        let titles = section.columns.iter().map(|(title, ..)| *title);
        let _ = write!(text, "| | {} |", titles.collect::<Vec<_>>().join(" | "));
        let _ = write!(text, "\n|{}", " --- |".repeat(section.columns.len() + 1));
        for (name, measures) in &section.measures {
            let _ = write!(text, "\n| {name} |");
            for (_, figure, digits) in section.columns {
                let values: Vec<f64> = measures.iter().filter_map(figure).collect();
                let is_small = values.first().is_some_and(|value| *value < 100.0);
                let digits = digits.unwrap_or(if is_small { 2 } else { 0 });
                let _ = write!(text, " {} |", spread(values, digits));
            }
        }
        self.results.sections.push(text);
    }

    /// Prints the report, and writes it to `path`.
    pub fn write(mut self, path: &Path) {
        self.results.head = format!("# fetchd and its alternatives\n\n{}", self.origin);
        print!("{}", self.results);
        fs::write(path, self.results.to_string()).expect("the results can be written");
        println!("\nwritten to {}", path.display());
    }

    /// Prints the report, and replaces the results of the same workloads in `path`.
    pub fn update(mut self, path: &Path) {
        for group in self
            .results
            .sections
            .chunk_by_mut(|one, other| workload(one) == workload(other))
        {
            let title = group[0]
                .find("\n\n")
                .expect("a section starts with a title");
            group[0].insert_str(title, &format!("\n\n{}", self.origin));
        }
        print!("{}", self.results);
        let text = fs::read_to_string(path).expect("there are results to update");
        let mut results = Results::parse(&text);
        results.update(&self.results);
        fs::write(path, results.to_string()).expect("the results can be written");
        println!("\nupdated {}", path.display());
    }
}
