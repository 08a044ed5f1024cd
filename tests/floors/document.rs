//! Reads the floors from ARCHITECTURE.md.
//!
//! They are the fenced block whose info string is `floors`, one floor a line, the
//! highest first. A module may use every module on a lower floor. A module on the same
//! floor needs an arrow:
//!
//! ```text
//! main
//! server  client          two modules that may not use each other
//! fetch → connect → pool; fetch → decode, gate
//! ```
//!
//! Spaces, commas and semicolons separate modules, and a module may be repeated on its
//! floor. Arrows chain: here `fetch` may use `connect`, `pool` and `decode`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

pub(crate) struct Floors {
    /// The floor of each module. 0 is the highest.
    floors: BTreeMap<String, usize>,
    /// The pairs of modules on one floor of which the first may use the second.
    arrows: BTreeSet<(String, String)>,
}

impl Floors {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let block = text.split("\n```floors\n").nth(1);
        let block = block.expect("ARCHITECTURE.md has a block that opens with ```floors");
        let block = block.split("\n```").next().unwrap();
        Self::parse(block)
    }

    fn parse(block: &str) -> Self {
        let mut floors = BTreeMap::new();
        let mut arrows = BTreeSet::new();
        let lines = block.lines().filter(|line| !line.trim().is_empty());
        for (floor, line) in lines.enumerate() {
            let spaced = line.replace("->", "→").replace('→', " → ");
            let spaced = spaced.replace([',', ';'], " ");
            let mut previous: Option<&str> = None;
            let mut follows_arrow = false;
            for word in spaced.split_whitespace() {
                if word == "→" {
                    follows_arrow = true;
                    continue;
                }
                assert!(is_name(word), "expected a module in {line:?}, got {word:?}");
                let other = floors.insert(word.to_owned(), floor);
                assert!(
                    other.is_none_or(|other| other == floor),
                    "{word} is on two floors",
                );
                if let Some(importer) = previous.filter(|_| follows_arrow) {
                    arrows.insert((importer.to_owned(), word.to_owned()));
                }
                previous = Some(word);
                follows_arrow = false;
            }
        }
        let arrows = chained(arrows);
        for (importer, target) in &arrows {
            assert!(
                importer != target,
                "the arrows lead from {importer} back to it"
            );
        }
        Self { floors, arrows }
    }

    pub(crate) fn has(&self, module: &str) -> bool {
        self.floors.contains_key(module)
    }

    /// Returns true if `importer` may use `target`. Both are on a floor.
    pub(crate) fn allow(&self, importer: &str, target: &str) -> bool {
        let arrow = (importer.to_owned(), target.to_owned());
        self.floors[importer] < self.floors[target] || self.arrows.contains(&arrow)
    }

    /// Describes the floor of a module that `importer` must not use.
    pub(crate) fn compare(&self, importer: &str, target: &str) -> &'static str {
        if self.floors[importer] == self.floors[target] {
            "which is on the same floor, without an arrow"
        } else {
            "which is on a higher floor"
        }
    }

    /// Returns the modules that are only in the document or only in the code.
    pub(crate) fn differences(&self, modules: &BTreeSet<String>) -> Vec<String> {
        let listed: BTreeSet<_> = self.floors.keys().cloned().collect();
        let missing = modules.difference(&listed);
        let gone = listed.difference(modules);
        missing
            .map(|module| format!("src/{module}.rs is on no floor of ARCHITECTURE.md"))
            .chain(gone.map(|module| format!("ARCHITECTURE.md: there is no src/{module}.rs")))
            .collect()
    }
}

fn is_name(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Adds the pairs that several arrows in a row allow.
fn chained(mut arrows: BTreeSet<(String, String)>) -> BTreeSet<(String, String)> {
    loop {
        let mut longer = arrows.clone();
        for (importer, middle) in &arrows {
            let next = arrows.iter().filter(|(from, _)| from == middle);
            longer.extend(next.map(|(_, target)| (importer.clone(), target.clone())));
        }
        if longer.len() == arrows.len() {
            return arrows;
        }
        arrows = longer;
    }
}

#[test]
fn lower_floors_and_arrows_are_allowed() {
    let floors = Floors::parse("main\nserver  client\na → b -> c; a → d, e\nlast");
    for (importer, target) in [
        ("main", "last"),
        ("client", "e"),
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
    ] {
        assert!(floors.allow(importer, target), "{importer} → {target}");
        assert!(!floors.allow(target, importer), "{target} → {importer}");
    }
    for (importer, target) in [("server", "client"), ("client", "server"), ("d", "e")] {
        assert!(!floors.allow(importer, target), "{importer} → {target}");
    }
}

#[test]
#[should_panic(expected = "back to it")]
fn arrows_in_a_circle_are_refused() {
    Floors::parse("a → b → c → a");
}

#[test]
#[should_panic(expected = "b is on two floors")]
fn module_on_two_floors_is_refused() {
    Floors::parse("a b\nb");
}
