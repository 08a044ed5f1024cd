//! Builds and installs the Go and Python clients into a folder of their own, and lists
//! the tools that are not available.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::worker::Worker;

const AIOHTTP: &str = "aiohttp==3.13.2";
const GRPCIO: [&str; 2] = ["grpcio==1.76.0", "grpcio-tools==1.76.0"];

/// The available tools.
pub struct Setup {
    pub folder: PathBuf,
    pub curl: bool,
    go: Option<PathBuf>,
    python: Option<PathBuf>,
    has_aiohttp: bool,
    has_grpcio: bool,
    /// One phrase for each tool that is not available.
    pub missing: Vec<String>,
}

impl Setup {
    pub fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        let mut setup = Self {
            folder,
            curl: succeeds(Command::new("curl").arg("--version")),
            go: None,
            python: None,
            has_aiohttp: false,
            has_grpcio: false,
            missing: Vec::new(),
        };
        if !setup.curl {
            setup.missing.push("curl is not installed".to_owned());
        }
        setup.build_go();
        setup.install_python();
        setup
    }

    fn build_go(&mut self) {
        let program = self.folder.join("go-client");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(source().join("go"))
            .env("GOCACHE", self.folder.join("go-cache"))
            .env("GOFLAGS", "-mod=mod")
            .output();
        if built.is_ok_and(|built| built.status.success()) {
            self.go = Some(program);
        } else {
            self.missing.push("Go: `go build` failed".to_owned());
        }
    }

    fn install_python(&mut self) {
        let venv = self.folder.join("venv");
        let python = venv.join("bin/python");
        if !python.exists() && !succeeds(Command::new("python3").args(["-m", "venv"]).arg(&venv)) {
            self.missing
                .push("Python: `python3 -m venv` failed".to_owned());
            return;
        }
        let install = |packages: &[&str]| {
            let mut command = Command::new(&python);
            let command = command.args(["-m", "pip", "install", "--quiet"]);
            succeeds(command.args(packages))
        };
        self.has_aiohttp = install(&[AIOHTTP]);
        self.has_grpcio = install(&GRPCIO) && {
            let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/fetchd/v1");
            let mut command = Command::new(&python);
            command.args(["-m", "grpc_tools.protoc", "-I"]).arg(&proto);
            for option in ["--python_out", "--grpc_python_out"] {
                command.arg(format!("{option}={}", self.folder.display()));
            }
            succeeds(command.arg("fetchd.proto"))
        };
        for (name, is_installed) in [("aiohttp", self.has_aiohttp), ("grpcio", self.has_grpcio)] {
            if !is_installed {
                self.missing.push(format!("{name}: `pip install` failed"));
            }
        }
        self.python = Some(python);
    }

    /// Starts the Go client.
    pub fn go(&self) -> Option<Worker> {
        Some(start(&mut Command::new(self.go.as_ref()?)))
    }

    /// Starts the Python client in the file `script`.
    pub fn python(&self, script: &str) -> Option<Worker> {
        let is_usable = match script {
            "with_aiohttp" => self.has_aiohttp,
            "with_fetchd" => self.has_grpcio,
            _ => true,
        };
        let python = self.python.as_ref().filter(|_| is_usable)?;
        let scripts = source().join("python");
        let mut command = Command::new(python);
        command.arg(scripts.join(script).with_extension("py"));
        command.env("PYTHONPATH", &self.folder);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Some(start(&mut command))
    }

    /// Returns the versions of the available tools and of the compared crates.
    pub fn versions(&self) -> Vec<String> {
        let first_line = |command: &mut Command| {
            let output = command.output().ok()?.stdout;
            let line = String::from_utf8_lossy(&output).lines().next()?.to_owned();
            Some(line)
        };
        let mut versions = vec![
            first_line(Command::new("rustc").arg("--version")),
            first_line(Command::new("go").arg("version")),
            first_line(Command::new("curl").arg("--version")),
        ];
        if let Some(python) = &self.python {
            versions.push(first_line(Command::new(python).arg("--version")));
        }
        let lock = include_str!("../../Cargo.lock");
        for name in ["hyper", "hyper-util", "reqwest", "tonic", "tokio", "rustls"] {
            let entry = format!("name = \"{name}\"\nversion = \"");
            let version = lock.split(&entry).nth(1);
            let version = version.and_then(|rest| rest.split('"').next());
            versions.push(version.map(|version| format!("{name} {version}")));
        }
        versions.push(self.has_aiohttp.then(|| AIOHTTP.to_owned()));
        versions.push(self.has_grpcio.then(|| GRPCIO[0].to_owned()));
        versions.into_iter().flatten().collect()
    }
}

/// Starts a worker, and waits until it is ready.
fn start(command: &mut Command) -> Worker {
    let mut worker = Worker::start(command);
    assert_eq!(worker.line(), "ready");
    worker
}

/// Returns the folder of the Go and Python sources.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare")
}

/// Returns true if the command exits with success.
fn succeeds(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
