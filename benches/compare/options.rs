//! What the command line asks for.

/// What to run, and how much of it.
pub struct Options {
    pub short: bool,
    pub only: Option<Vec<String>>,
    pub rounds: usize,
}

impl Options {
    pub fn of(arguments: &[String]) -> Self {
        let value = |name: &str| {
            let position = arguments.iter().position(|argument| argument == name)?;
            arguments.get(position + 1)
        };
        let short = arguments.iter().any(|argument| argument == "--short");
        let rounds = value("--rounds").map(|rounds| rounds.parse().expect("a number of rounds"));
        Self {
            short,
            only: value("--only").map(|only| only.split(',').map(str::to_owned).collect()),
            rounds: rounds.unwrap_or(if short { 1 } else { 5 }),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.iter().any(|other| other == name))
    }

    /// The count, or the one of the short form.
    pub fn count(&self, count: usize, short: usize) -> usize {
        if self.short { short } else { count }
    }
}
