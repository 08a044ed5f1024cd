//! The programs in Python.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{first_line, install_copy, source, succeeds};

const AIOHTTP: &str = "aiohttp==3.14.5";
const GRPCIO: &str = "grpcio==1.85.1";
const PROTOBUF: &str = "protobuf==7.36.2";
const REQUESTS: &str = "requests==2.34.2";

pub struct Python {
    interpreter: Option<PathBuf>,
    /// The programs whose packages are installed.
    programs: Vec<&'static str>,
}

impl Python {
    pub fn install(folder: &Path, missing: &mut Vec<String>) -> Self {
        let mut python = Self {
            interpreter: None,
            programs: Vec::new(),
        };
        let venv = folder.join("venv");
        let interpreter = venv.join("bin/python");
        let mut create = Command::new("python3");
        if !interpreter.exists() && !succeeds(create.args(["-m", "venv"]).arg(&venv)) {
            missing.push("Python: `python3 -m venv` failed".to_owned());
            return python;
        }
        python.programs.push("with_threads");
        let install = |packages: &[&str]| {
            let mut pip = Command::new(&interpreter);
            pip.args(["-m", "pip", "install", "--quiet"]);
            succeeds(pip.args(packages))
        };
        for (package, program) in [(AIOHTTP, "with_aiohttp"), (REQUESTS, "with_requests")] {
            if install(&[package]) {
                python.programs.push(program);
            } else {
                missing.push(format!("Python: `pip install {package}` failed"));
            }
        }
        // Installed from a copy, because pip writes to the folder of the package.
        let copy = venv.join("fetchd");
        let client = copy.display().to_string();
        let install_client = || install(&[GRPCIO, PROTOBUF, &client]);
        if install_copy(&source("clients/python"), &copy, install_client) {
            let programs = ["with_fetchd", "with_fetchd_asyncio"];
            python.programs.extend(programs);
        } else {
            missing.push("Python: clients/python could not be installed".to_owned());
        }
        python.interpreter = Some(interpreter);
        python
    }

    pub fn command(&self, program: &str) -> Option<Command> {
        let program = self.programs.iter().find(|usable| **usable == program)?;
        let scripts = source("benches/compare/python");
        let mut command = Command::new(self.interpreter.as_ref()?);
        command.arg(scripts.join(program).with_extension("py"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Some(command)
    }

    pub fn versions(&self) -> Vec<String> {
        let Some(interpreter) = &self.interpreter else {
            return Vec::new();
        };
        let print = |name: &str| {
            let script = format!(
                "from importlib.metadata import version as v; print('{name}', v('{name}'))"
            );
            first_line(Command::new(interpreter).args(["-c", &script]))
        };
        let mut versions = vec![first_line(Command::new(interpreter).arg("--version"))];
        versions.extend(["aiohttp", "requests", "grpcio", "protobuf"].map(print));
        versions.into_iter().flatten().collect()
    }
}
