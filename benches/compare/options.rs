//! Command-line options.

/// The workloads to run, and their size.
pub struct Options {
    pub short: bool,
    pub update: bool,
    pub only: Option<Vec<String>>,
    pub rounds: usize,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Self {
        let value = |name: &str| {
            let position = arguments.iter().position(|argument| argument == name)?;
            arguments.get(position + 1)
        };
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let short = has("--short");
        let rounds = value("--rounds").map(|rounds| {
            let expected = "--rounds: expected a number";
            rounds.parse().expect(expected)
        });
        Self {
            short,
            update: has("--update"),
            only: value("--only").map(|only| only.split(',').map(str::to_owned).collect()),
            rounds: rounds.unwrap_or(if short { 1 } else { 5 }),
        }
    }

    /// Returns true if the workload `name` is selected.
    pub fn selects(&self, name: &str) -> bool {
        let Some(only) = &self.only else {
            return true;
        };
        only.iter().any(|other| other == name)
    }

    /// Returns `count`, or `short` with `--short`.
    pub fn count(&self, count: usize, short: usize) -> usize {
        if self.short { short } else { count }
    }
}
