//! The processes of the comparison: started once, ended when they are dropped.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::job::{Answer, Job};

/// A running process.
pub struct Worker {
    child: Child,
    output: BufReader<Box<dyn Read>>,
}

impl Worker {
    /// This program, in one of its modes.
    pub fn this(arguments: &[&str]) -> Self {
        let program = env::current_exe().expect("this program has a path");
        Self::start(Command::new(program).args(arguments))
    }

    /// Another program, that takes jobs.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let output = child.stdout.take().expect("its output is piped");
        Self {
            child,
            output: BufReader::new(Box::new(output)),
        }
    }

    /// A service, its URL, and how long it took to accept.
    pub fn service(program: &Path, arguments: &[&str]) -> (Self, String, Duration) {
        let begun = Instant::now();
        let child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off"])
            .args(["--allow-net", "127.0.0.0/8", "--log-format", "json"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the service starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log is piped"));
        let address = loop {
            let mut line = String::new();
            log.read_line(&mut line).expect("the log can be read");
            let line: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
            if let Some(address) = line.get("address").and_then(serde_json::Value::as_str) {
                break address.to_owned();
            }
        };
        // A log that nobody reads would stop the service.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let service = Self {
            child,
            output: BufReader::new(Box::new(std::io::empty())),
        };
        while std::net::TcpStream::connect(&address).is_err() {
            std::thread::yield_now();
        }
        (service, format!("http://{address}"), begun.elapsed())
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        assert!(read.is_ok_and(|count| count > 0), "the process has ended");
        line.trim_end().to_owned()
    }

    /// Has it do `job`.
    pub fn work(&mut self, job: &Job) -> Answer {
        let mut line = serde_json::to_string(job).expect("a job is JSON");
        line.push('\n');
        let input = self.child.stdin.as_mut().expect("its input is piped");
        input.write_all(line.as_bytes()).expect("it reads");
        serde_json::from_str(&self.line()).expect("an answer is JSON")
    }

    /// Its CPU time so far, in seconds, to a hundredth of one.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the process runs");
        // The second field may hold spaces, and ends with the last parenthesis.
        let fields = stat.rsplit(") ").next().expect("fields").split(' ');
        let ticks = fields.skip(11).take(2);
        let ticks = ticks.map(|field| field.parse::<f64>().expect("ticks"));
        ticks.sum::<f64>() / 100.0
    }

    /// A figure of its memory, in MiB: `VmHWM` is the peak, `VmRSS` the present.
    pub fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs");
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.expect("a figure in KiB") / 1024.0
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
