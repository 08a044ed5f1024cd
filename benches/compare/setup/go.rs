//! The programs in Go.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{first_line, source, succeeds};

pub struct Go {
    folder: PathBuf,
    /// The programs that were built.
    programs: Vec<&'static str>,
}

impl Go {
    pub fn build(folder: &Path, missing: &mut Vec<String>) -> Self {
        let mut go = Self {
            folder: folder.join("go"),
            programs: Vec::new(),
        };
        for program in ["nethttp", "fetchd"] {
            let mut command = go.tool();
            command.args(["build", "-buildvcs=false", "-modcacherw", "-o"]);
            command.arg(go.folder.join(program));
            if succeeds(command.arg(format!("./{program}"))) {
                go.programs.push(program);
            } else {
                missing.push(format!("Go: `go build ./{program}` failed"));
            }
        }
        go
    }

    pub fn command(&self, program: &str) -> Option<Command> {
        let program = self.programs.iter().find(|built| **built == program)?;
        Some(Command::new(self.folder.join(program)))
    }

    pub fn versions(&self) -> Vec<String> {
        let mut versions = vec![first_line(self.tool().arg("version"))];
        if self.command("fetchd").is_some() {
            let mut list = self.tool();
            versions.push(first_line(list.args([
                "list",
                "-m",
                "google.golang.org/grpc",
            ])));
        }
        versions.into_iter().flatten().collect()
    }

    /// Returns a command that keeps what it downloads and compiles in the folder.
    fn tool(&self) -> Command {
        let mut command = Command::new("go");
        command.current_dir(source("benches/compare/go"));
        command.env("GOCACHE", self.folder.join("cache"));
        command.env("GOMODCACHE", self.folder.join("modules"));
        command
    }
}
