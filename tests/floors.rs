//! Checks that modules in `src/` only import each other in one direction, i.e. down the
//! floors in ARCHITECTURE.md.
//!
//! The floors are listed there in a code block called `floors`, one per line, starting
//! with the highest. A module may import from any lower floor. In addition, it may import
//! along its own arrows: `a → b → c` allows `a` to import from `b` and `c`. Tests count
//! like any other code.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

struct Floors {
    /// Maps each module to its floor. The highest floor is 0.
    floors: BTreeMap<String, usize>,
    /// Pairs of modules on the same floor. The first one may import from the second.
    arrows: BTreeSet<(String, String)>,
}

#[test]
fn imports_go_down_the_floors() {
    let floors = Floors::read();
    let mut modules = BTreeSet::new();
    let mut problems = Vec::new();
    for file in sources(&root().join("src")) {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        for target in imports(&fs::read_to_string(&file).unwrap()) {
            if target != module && !floors.allow(&module, &target) {
                problems.push(format!("{}: {module} imports {target}", file.display()));
            }
        }
        modules.insert(module);
    }
    assert!(problems.is_empty(), "upward imports: {problems:#?}");
    assert!(
        modules.iter().eq(floors.floors.keys()),
        "expected each module of {modules:?} on one floor, got {:?}",
        floors.floors.keys()
    );
}

#[test]
fn floors_allow_one_direction_only() {
    let floors = Floors::parse("a\nb → c → d;  b → e\nf");
    for (importer, target) in [("a", "b"), ("b", "d"), ("c", "d"), ("b", "e"), ("d", "f")] {
        assert!(floors.allow(importer, target), "{importer} {target}");
        assert!(!floors.allow(target, importer), "{target} {importer}");
    }
    assert!(!floors.allow("c", "e") && !floors.allow("a", "unknown"));
}

#[test]
fn imports_are_found_in_all_forms() {
    let source = "use crate::a::B;\n// crate::no\nuse crate::{\n    Code, b, c::{self, x},\n};\n\
                  fn f() { crate::d::g() }";
    assert!(imports(source).iter().eq(["a", "b", "c", "code", "d"]));
}

impl Floors {
    fn read() -> Self {
        let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
        let (_, block) = document.split_once("```floors\n").unwrap();
        Self::parse(block.split("\n```").next().unwrap())
    }

    fn parse(block: &str) -> Self {
        let mut floors = BTreeMap::new();
        let mut arrows = BTreeSet::new();
        for (floor, line) in block.lines().enumerate() {
            for chain in line.split(';') {
                let chain: Vec<_> = chain.split('→').map(str::trim).collect();
                for names in chain.iter().map(|names| names.split_whitespace()) {
                    floors.extend(names.map(|name| (name.to_owned(), floor)));
                }
                let pairs = chain.iter().zip(chain.iter().skip(1));
                arrows.extend(pairs.map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
            }
        }
        // Follow arrows from arrows until there's nothing new.
        loop {
            let longer = arrows.iter().flat_map(|(a, b)| {
                let next = arrows.iter().filter(move |(start, _)| start == b);
                next.map(move |(_, end)| (a.clone(), end.clone()))
            });
            let all: BTreeSet<_> = arrows.iter().cloned().chain(longer).collect();
            if all.len() == arrows.len() {
                break;
            }
            arrows = all;
        }
        assert!(arrows.iter().all(|(a, b)| a != b), "a circle of arrows");
        Self { floors, arrows }
    }

    fn allow(&self, importer: &str, target: &str) -> bool {
        let (from, to) = (self.floors.get(importer), self.floors.get(target));
        let is_arrow = self
            .arrows
            .contains(&(importer.to_owned(), target.to_owned()));
        from.zip(to).is_some_and(|(from, to)| from < to) || is_arrow
    }
}

/// Returns all modules that `source` refers to as `crate::a` or `crate::{a, b}`. Types
/// that the crate root re-exports count as their module, e.g. `crate::Code` as `code`.
fn imports(source: &str) -> BTreeSet<String> {
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<_> = lines.collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (start, path) in code.match_indices("crate::") {
        let rest = &code[start + path.len()..];
        // If there's a group, only look at names that aren't in another group inside of
        // it.
        let mut depth = usize::from(rest.starts_with('{'));
        let items = rest[depth..].split_inclusive(['{', '}', ',']);
        for item in items {
            if depth <= 1 {
                let name = item
                    .trim_start()
                    .split(|c: char| !c.is_alphanumeric() && c != '_');
                found.extend(name.take(1).map(str::to_lowercase));
            }
            match item.chars().last() {
                Some('{') if depth > 0 => depth += 1,
                Some('}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.remove("");
    found
}

/// Returns all files below `directory`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    });
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// Returns the top-level module that a file belongs to.
fn module_of(file: &Path) -> String {
    let inside = file
        .strip_prefix(root().join("src"))
        .unwrap()
        .with_extension("");
    inside.iter().next().unwrap().to_str().unwrap().to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
