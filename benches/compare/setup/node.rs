//! The programs in JavaScript.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{copy, first_line, install_copy, source, succeeds};

pub struct Node {
    folder: PathBuf,
    /// The programs whose packages are installed, with their folders.
    programs: Vec<(&'static str, &'static str)>,
}

impl Node {
    pub fn install(folder: &Path, missing: &mut Vec<String>) -> Self {
        let mut node = Self {
            folder: folder.join("node"),
            programs: Vec::new(),
        };
        // Node.js looks for packages beside the programs, so they are copied.
        copy(&source("benches/compare/node"), &node.folder);
        if node.npm("direct", &["install"]) {
            let programs = ["with_fetch", "with_undici", "with_undici_fetch"];
            node.programs
                .extend(programs.map(|program| ("direct", program)));
        } else {
            missing.push("Node.js: `npm install undici` failed".to_owned());
        }
        if node.install_client() {
            node.programs.push(("fetchd", "with_fetchd"));
        } else {
            missing.push("Node.js: clients/typescript could not be installed".to_owned());
        }
        node
    }

    pub fn command(&self, program: &str) -> Option<Command> {
        let mut usable = self.programs.iter();
        let (package, program) = usable.find(|(_, usable)| *usable == program)?;
        let program = self.folder.join(package).join(program);
        let mut command = Command::new("node");
        command.arg(program.with_extension("mjs"));
        Some(command)
    }

    pub fn versions(&self) -> Vec<String> {
        let mut node = Command::new("node");
        let version = first_line(node.arg("--version"));
        let version = version.map(|version| format!("Node.js {version}"));
        let packages = [
            ("direct", "undici"),
            ("fetchd/node_modules/fetchd", "@grpc/grpc-js"),
        ];
        let packages = packages.into_iter().filter_map(|(folder, package)| {
            let folder = self.folder.join(folder).join("node_modules").join(package);
            let text = fs::read_to_string(folder.join("package.json")).ok()?;
            let package_json: serde_json::Value = serde_json::from_str(&text).ok()?;
            Some(format!("{package} {}", package_json["version"].as_str()?))
        });
        version.into_iter().chain(packages).collect()
    }

    /// Compiles the client where its program looks for it.
    fn install_client(&self) -> bool {
        let folder = "fetchd/node_modules/fetchd";
        let install = || self.npm(folder, &["ci"]);
        let client = source("clients/typescript");
        install_copy(&client, &self.folder.join(folder), install)
    }

    /// Runs npm in `folder`. Returns true if it succeeds.
    fn npm(&self, folder: &str, arguments: &[&str]) -> bool {
        let mut npm = Command::new("npm");
        npm.args(["--silent", "--no-fund", "--no-audit"]);
        succeeds(npm.args(arguments).current_dir(self.folder.join(folder)))
    }
}
