//! The contenders, and how each runs a job.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::{job::Job, measure::Measure, worker::Worker};

pub const FETCHD: &str = "fetchd";
pub const BASELINE: &str = "fetchd, baseline";
pub const POOLED: &str = "hyper-util, one task per fetch";
pub const DRIVEN: &str = "hyper, driven by its task";
pub const GO: &str = "Go net/http";
pub const TONIC: &str = "tonic from memory";

/// A contender: its name, and a function that runs a job and measures it.
pub type Contender<'a> = (&'static str, Box<dyn FnMut(&Job) -> Measure + 'a>);

/// A service with a caller.
pub struct Service {
    pub process: Worker,
    pub url: String,
    pub caller: Worker,
}

impl Service {
    pub fn new(program: &Path, arguments: &[&str]) -> Self {
        Self::called_by(start_mode("caller"), program, arguments)
    }

    pub fn called_by(caller: Worker, program: &Path, arguments: &[&str]) -> Self {
        let (process, url, _) = Worker::service(program, arguments);
        Self {
            process,
            url,
            caller,
        }
    }

    /// Runs `job` through the caller, and measures both processes.
    pub fn run(&mut self, job: &Job) -> Measure {
        let job = Job {
            server: self.url.clone(),
            ..job.clone()
        };
        let process_before = self.process.cpu();
        let caller_before = self.caller.cpu();
        let measure = run(&mut self.caller, &job);
        Measure {
            cpu_s: self.process.cpu() - process_before,
            caller_s: Some(self.caller.cpu() - caller_before),
            memory: Some(self.process.memory("VmHWM")),
            ..measure
        }
    }
}

/// Returns the path of the service under test.
pub fn fetchd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fetchd"))
}

/// Returns the path of the baseline build, if one is given.
pub fn baseline() -> Option<PathBuf> {
    env::var_os("FETCHD_BASELINE").map(PathBuf::from)
}

/// Starts this program in the mode `name`, and waits until it is ready.
pub fn start_mode(name: &str) -> Worker {
    let mut worker = Worker::this(&[name]);
    assert_eq!(worker.line(), "ready");
    worker
}

/// Starts the bare tonic server with a caller.
pub fn tonic_server() -> Service {
    let mut process = Worker::this(&["tonic-server"]);
    let url = format!("http://{}", process.line());
    Service {
        process,
        url,
        caller: start_mode("caller"),
    }
}

/// Runs `job` on `worker`, and measures its process.
pub fn run(worker: &mut Worker, job: &Job) -> Measure {
    let before = worker.cpu();
    let result = worker.run(job);
    let fetches = job.count * job.batches * job.repeat;
    assert_eq!(
        result.bytes,
        (fetches * job.size) as u64,
        "bytes of {job:?}"
    );
    Measure {
        wall_s: result.wall_s,
        fetches: fetches as f64,
        cpu_s: worker.cpu() - before,
        caller_s: None,
        memory: Some(worker.memory("VmHWM")),
        program_memory: Some(worker.memory("VmHWM")),
        first_ms: result.first_ms,
        p50_ms: result.p50_ms,
        p99_ms: result.p99_ms,
    }
}

/// Runs `job` with curl, and measures its process.
pub fn curl(config: &Path, job: &Job) -> Measure {
    let line = format!("url = \"{}\"\noutput = \"/dev/null\"\n", job.url);
    std::fs::write(config, line.repeat(job.count)).expect("the folder can be written");
    let started = std::time::Instant::now();
    // The second line of `times` has the CPU time of the shell's children.
    let script = "curl -s --parallel --parallel-max \"$1\" -K \"$2\" && times";
    let output = Command::new("sh")
        .args(["-c", script, "curl", &job.concurrency.to_string()])
        .arg(config)
        .output();
    let output = output.expect("sh is installed");
    assert!(output.status.success(), "curl exited with an error");
    let wall_s = started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    let children = text.lines().nth(1).unwrap_or_default();
    let cpu_s = children.split_whitespace().filter_map(|time| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    });
    Measure {
        wall_s,
        fetches: job.count as f64,
        cpu_s: cpu_s.sum(),
        ..Measure::default()
    }
}

/// Writes a self-signed certificate for 127.0.0.1. Returns the paths of the certificate
/// (DER), its key (DER) and the certificate (PEM).
pub fn certificate(folder: &Path) -> [PathBuf; 3] {
    let key = rcgen::KeyPair::generate().expect("a key can be generated");
    let params =
        rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("127.0.0.1 is a valid name");
    let certificate = params.self_signed(&key).expect("the parameters are valid");
    let files = ["certificate.der", "key.der", "certificate.pem"].map(|name| folder.join(name));
    let contents = [
        certificate.der().to_vec(),
        key.serialize_der(),
        certificate.pem().into_bytes(),
    ];
    for (file, content) in files.iter().zip(contents) {
        std::fs::write(file, content).expect("the folder can be written");
    }
    files
}
