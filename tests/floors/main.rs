//! The modules of `src/` import each other in one direction: downwards through the
//! floors of ARCHITECTURE.md.
//!
//! `document.rs` reads the floors, and `imports.rs` reads the imports of a file. A
//! `#[path]` attribute is not followed: a file belongs to the module that its path names.

#![allow(clippy::unwrap_used)]

mod document;
mod imports;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use document::Floors;
use imports::Import;

#[test]
fn imports_go_down_the_floors() {
    let floors = Floors::read(&root().join("ARCHITECTURE.md"));
    let sources = sources();
    let aliases = imports::reexports(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    let mut problems = floors.differences(&sources.keys().cloned().collect());
    for (module, files) in &sources {
        for file in files {
            problems.extend(check(module, file, &aliases, &floors));
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn reversed_imports_are_refused() {
    let floors = Floors::read(&root().join("ARCHITECTURE.md"));
    let sources = sources();
    let mut pairs = BTreeSet::new();
    for (module, files) in &sources {
        for import in files.iter().flat_map(|file| imports_of(file)) {
            if sources.contains_key(&import.target) && import.target != *module {
                pairs.insert((module, import.target));
            }
        }
    }
    assert!(pairs.len() > 20, "expected more than 20 pairs: {pairs:?}");
    pairs.retain(|(module, target)| floors.has(module) && floors.has(target));
    for (module, target) in &pairs {
        if floors.allow(module, target) {
            assert!(!floors.allow(target, module), "{target} may use {module}");
        }
    }
}

/// Returns the forbidden imports of one file.
fn check(
    module: &str,
    file: &Path,
    aliases: &BTreeMap<String, String>,
    floors: &Floors,
) -> Vec<String> {
    let name = file.strip_prefix(root()).unwrap().display();
    let mut problems = Vec::new();
    for Import { target, line } in imports_of(file) {
        let target = aliases.get(&target).unwrap_or(&target);
        if !floors.has(target) {
            problems.push(format!("{name}:{line}: `{target}` is on no floor"));
        } else if target != module && !floors.allow(module, target) {
            let place = floors.compare(module, target);
            problems.push(format!("{name}:{line}: {module} uses {target}, {place}"));
        }
    }
    problems
}

fn imports_of(file: &Path) -> Vec<Import> {
    let depth = file.strip_prefix(root().join("src")).unwrap().components();
    let is_directory = file.ends_with("mod.rs");
    let depth = match file.file_name().unwrap().to_str().unwrap() {
        "main.rs" => 0,
        _ => depth.count() - usize::from(is_directory),
    };
    imports::read(&fs::read_to_string(file).unwrap(), depth)
}

/// Returns the files of each top-level module. The crate root `lib.rs` is no module.
fn sources() -> BTreeMap<String, Vec<PathBuf>> {
    let mut sources: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let src = root().join("src");
    let mut directories = vec![src.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let inner = path.strip_prefix(&src).unwrap().with_extension("");
            let module = inner.iter().next().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_some_and(|extension| extension == "rs") && module != "lib" {
                sources.entry(module).or_default().push(path);
            }
        }
    }
    sources
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
