//! The Markdown file of the results: a head, a table of targets, and sections. Rows and
//! sections start with the name of their workload and a colon.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

const TARGETS: &str = "Targets\n\n| | measured | at most |\n| --- | --- | --- |\n";

#[derive(Default)]
pub struct Results {
    pub head: String,
    /// The rows of the table.
    pub targets: Vec<String>,
    pub sections: Vec<String>,
}

impl Results {
    /// Reads a file that was written by this program.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split("\n## ");
        let head = parts.next().unwrap_or_default().trim_end().to_owned();
        let targets = parts.next().and_then(|part| part.strip_prefix(TARGETS));
        let targets = targets.expect("the results start with the targets");
        Self {
            head,
            targets: targets.trim_end().lines().map(str::to_owned).collect(),
            sections: parts.map(|part| part.trim_end().to_owned()).collect(),
        }
    }

    /// Replaces the rows and sections of each workload that `newer` has.
    pub fn update(&mut self, newer: &Self) {
        let items = newer.targets.iter().chain(&newer.sections);
        for name in items.map(|item| workload(item)).collect::<BTreeSet<_>>() {
            replace(&mut self.targets, &newer.targets, name);
            replace(&mut self.sections, &newer.sections, name);
        }
    }
}

impl Display for Results {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n\n## {TARGETS}", self.head)?;
        for target in &self.targets {
            writeln!(formatter, "{target}")?;
        }
        for section in &self.sections {
            write!(formatter, "\n## {section}\n")?;
        }
        Ok(())
    }
}

fn replace(items: &mut Vec<String>, newer: &[String], name: &str) {
    let is_replaced = |item: &&String| workload(item) == name;
    let position = items.iter().position(|item| is_replaced(&item));
    let position = position.unwrap_or(items.len());
    items.retain(|item| !is_replaced(&item));
    items.splice(
        position..position,
        newer.iter().filter(is_replaced).cloned(),
    );
}

/// Returns the name of the workload of a row or a section.
pub fn workload(item: &str) -> &str {
    let item = item.trim_start_matches("| ");
    item.split(':').next().unwrap_or_default()
}
