//! The service as a process of its own, for what is said of a process: its
//! memory, its signals, its exit code.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
};

use super::PATIENCE;

/// A running `fetchd serve`, killed when it is dropped.
pub(crate) struct Process {
    pub url: String,
    child: Child,
}

impl Process {
    /// Starts the service on a free port, with further arguments.
    pub(crate) fn serve(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--allow-net",
                "127.0.0.0/8",
            ])
            .args(["--log-format", "json"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (found, address) = mpsc::channel();
        // What the log says further is read too, so that it never stops the
        // service.
        std::thread::spawn(move || {
            for line in log.map_while(Result::ok) {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                if let Some(address) = line.get("address").and_then(|address| address.as_str()) {
                    let _ = found.send(address.to_owned());
                }
            }
        });
        let address = address.recv_timeout(PATIENCE);
        Self {
            url: format!("http://{}", address.expect("the log says the address")),
            child,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the process has had resident, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib << 10
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
