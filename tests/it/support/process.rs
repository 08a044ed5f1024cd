//! Runs the service as a child process. This way we can test its memory, signals and exit
//! code.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread::JoinHandle,
};

use tokio::task::spawn_blocking;

use super::{TEST_TIMEOUT, within_timeout};

/// A running `fetchd serve`. Dropping it kills the process.
pub(crate) struct Process {
    pub url: String,
    /// The admin listener's address.
    pub admin: String,
    child: Child,
    log: Option<JoinHandle<Vec<String>>>,
}

impl Process {
    /// Starts the service on some free port with these additional arguments.
    pub(crate) fn serve(arguments: &[&str]) -> Self {
        Self::serve_with(arguments, &[])
    }

    /// Like [`Process::serve`], but with additional environment variables.
    pub(crate) fn serve_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fetchd"));
        command.envs(variables.iter().copied());
        Self::start(command, arguments)
    }

    /// Starts the service on an address, e.g. that of one that was killed.
    pub(crate) fn serve_at(address: &str) -> Self {
        Self::serve(&["--listen", address])
    }

    /// Like [`Process::serve`], but with a limit of `files` open file descriptors.
    pub(crate) fn serve_with_file_limit(files: usize, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_fetchd")]);
        Self::start(command, arguments)
    }

    fn start(mut command: Command, arguments: &[&str]) -> Self {
        command.args(["serve", "--allow-net", "127.0.0.0/8"]);
        command.args(["--log-format", "json"]);
        for flag in ["--listen", "--admin-listen"] {
            if !arguments.contains(&flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        let mut child = command
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        // We need the first line only, but keep on reading. Otherwise the pipe would fill
        // up and block the service.
        let log = std::thread::spawn(move || {
            let mut lines = Vec::new();
            for line in log.map_while(Result::ok) {
                let fields: serde_json::Value = serde_json::from_str(&line).unwrap();
                let field = |name| Some(fields.get(name)?.as_str()?.to_owned());
                if let (Some(address), Some(admin)) = (field("address"), field("admin")) {
                    let _ = sender.send((address, admin));
                }
                lines.push(line);
            }
            lines
        });
        let Ok((address, admin)) = receiver.recv_timeout(TEST_TIMEOUT) else {
            // There's no `Process` yet whose drop would do this.
            let _ = child.kill();
            panic!("the service didn't log its addresses");
        };
        Self {
            url: format!("http://{address}"),
            admin,
            child,
            log: Some(log),
        }
    }

    /// Returns the gRPC listener's address.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Stops the service with SIGTERM. Returns everything it has logged.
    pub(crate) fn into_log(mut self) -> Vec<String> {
        self.signal("TERM");
        self.child.wait().unwrap();
        let log = self.log.take().expect("the log is taken once");
        log.join().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Returns the peak resident memory in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Returns the CPU time in user and kernel mode, in seconds.
    pub(crate) fn cpu_time(&self) -> f64 {
        /// Clock ticks a second. It's 100 on all systems that Linux supports.
        const TICKS: f64 = 100.0;

        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name of the process is in parentheses, and may contain anything.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2);
        ticks
            .map(|field| field.parse::<f64>().unwrap())
            .sum::<f64>()
            / TICKS
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() << 10
    }

    /// Sends a signal, e.g. "TERM".
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until the process exits. Doesn't stop it.
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
