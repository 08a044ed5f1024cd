//! Builds and installs the programs in Go, JavaScript and Python into a folder of their
//! own, and lists the tools that are not available.

mod go;
mod node;
mod python;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::worker::Worker;

/// A program of the bench: its language, and its name.
#[derive(Clone, Copy)]
pub struct Program(pub Language, pub &'static str);

#[derive(Clone, Copy)]
pub enum Language {
    Go,
    Node,
    Python,
}

/// The available tools.
pub struct Setup {
    pub folder: PathBuf,
    pub curl: bool,
    go: go::Go,
    node: node::Node,
    python: python::Python,
    /// One phrase for each tool that is not available.
    pub missing: Vec<String>,
}

impl Setup {
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let mut missing = Vec::new();
        let curl = succeeds(Command::new("curl").arg("--version"));
        if !curl {
            missing.push("curl is not installed".to_owned());
        }
        Self {
            curl,
            go: go::Go::build(&folder, &mut missing),
            node: node::Node::install(&folder, &mut missing),
            python: python::Python::install(&folder, &mut missing),
            folder,
            missing,
        }
    }

    /// Starts a program, if its tools are available.
    pub fn start(&self, Program(language, name): Program) -> Option<Worker> {
        let mut command = match language {
            Language::Go => self.go.command(name),
            Language::Node => self.node.command(name),
            Language::Python => self.python.command(name),
        }?;
        let mut worker = Worker::start(&mut command);
        assert_eq!(worker.line(), "ready");
        Some(worker)
    }

    /// Returns the versions of the available tools and of the compared libraries.
    pub fn versions(&self) -> Vec<String> {
        let mut versions = vec![
            first_line(Command::new("rustc").arg("--version")),
            first_line(Command::new("curl").arg("--version")),
        ];
        let lock = include_str!("../../Cargo.lock");
        for name in ["hyper", "hyper-util", "reqwest", "tonic", "tokio", "rustls"] {
            let entry = format!("name = \"{name}\"\nversion = \"");
            let version = lock.split(&entry).nth(1);
            let version = version.and_then(|rest| rest.split('"').next());
            versions.push(version.map(|version| format!("{name} {version}")));
        }
        let versions = versions.into_iter().flatten();
        versions
            .chain(self.go.versions())
            .chain(self.node.versions())
            .chain(self.python.versions())
            .collect()
    }
}

/// Returns a folder of the package.
fn source(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// Returns true if the command exits with success.
fn succeeds(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns the first line that the command prints, if there is one.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?.stdout;
    let line = String::from_utf8_lossy(&output).lines().next()?.to_owned();
    Some(line)
}

/// Copies the folder `from` to `to`, and runs `install`, unless that has succeeded before
/// and nothing has changed since. Returns true if it has succeeded.
fn install_copy(from: &Path, to: &Path, install: impl FnOnce() -> bool) -> bool {
    if !from.exists() {
        return false;
    }
    let stamp = to.join(".installed");
    let is_changed = copy(from, to);
    if !is_changed && stamp.exists() {
        return true;
    }
    let _ = fs::remove_file(&stamp);
    install() && fs::write(&stamp, "").is_ok()
}

/// Copies the files of a folder and of the folders in it, but not what is installed and
/// built there. Returns true if a file was changed.
fn copy(from: &Path, to: &Path) -> bool {
    fs::create_dir_all(to).expect("the target folder can be written");
    let mut is_changed = false;
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let is_built = |name: &&str| from.ends_with(name);
        if ["build", "dist", "node_modules"].iter().any(is_built) {
            continue;
        }
        if from.is_dir() {
            is_changed |= copy(&from, &to);
        } else if fs::read(&from).ok() != fs::read(&to).ok() {
            fs::copy(from, to).expect("the target folder can be written");
            is_changed = true;
        }
    }
    is_changed
}
