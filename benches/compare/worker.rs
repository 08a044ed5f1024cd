//! The processes of the comparison.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::job::{Job, JobResult};

/// A running process, killed when it is dropped.
pub struct Worker {
    child: Child,
    output: BufReader<Box<dyn Read>>,
}

impl Worker {
    /// Starts this program in the mode that the first of `arguments` names.
    pub fn this(arguments: &[&str]) -> Self {
        let program = env::current_exe().expect("this program has a path");
        Self::start(Command::new(program).args(arguments))
    }

    /// Starts a program that reads jobs from standard input.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let output = child.stdout.take().expect("its output is piped");
        Self {
            child,
            output: BufReader::new(Box::new(output)),
        }
    }

    /// Starts a service. Returns it with its URL and the time until it accepted a
    /// connection.
    pub fn service(program: &Path, arguments: &[&str]) -> (Self, String, Duration) {
        let started = Instant::now();
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
            log.read_line(&mut line).expect("the log is UTF-8");
            let line: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
            if let Some(address) = line.get("address").and_then(serde_json::Value::as_str) {
                break address.to_owned();
            }
        };
        // Keeps reading the log, because a full pipe would block the service.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let service = Self {
            child,
            output: BufReader::new(Box::new(std::io::empty())),
        };
        while std::net::TcpStream::connect(&address).is_err() {
            std::thread::yield_now();
        }
        (service, format!("http://{address}"), started.elapsed())
    }

    /// Waits for the next line of the process's output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        assert!(
            read.is_ok_and(|count| count > 0),
            "the process exited before it printed a line"
        );
        line.trim_end().to_owned()
    }

    /// Sends `job` to the process, and waits for the result.
    pub fn run(&mut self, job: &Job) -> JobResult {
        let mut line = serde_json::to_string(job).expect("a job can be serialized");
        line.push('\n');
        let input = self.child.stdin.as_mut().expect("its input is piped");
        input
            .write_all(line.as_bytes())
            .expect("the process reads its input");
        serde_json::from_str(&self.line()).expect("the line is a result")
    }

    /// Returns the CPU time of the process so far, in seconds. The resolution is 0.01 s.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the process is running");
        // The second field may contain spaces, and ends with the last parenthesis.
        let fields = stat
            .rsplit(") ")
            .next()
            .expect("`rsplit` yields at least one item")
            .split(' ');
        let ticks = fields.skip(11).take(2);
        let ticks = ticks.map(|field| field.parse::<f64>().expect("fields 14 and 15 are numbers"));
        ticks.sum::<f64>() / 100.0
    }

    /// Returns the peak (`VmHWM`) or current (`VmRSS`) resident memory of the process, in
    /// MiB.
    pub fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process is running");
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.expect("the field is a number of KiB") / 1024.0
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
