//! Who takes part, and how each is made to do a job.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::{job::Job, measure::Measure, worker::Worker};

pub const FETCHD: &str = "fetchd";
pub const BASELINE: &str = "fetchd, baseline";
pub const POOLED: &str = "hyper-util, a task a fetch";
pub const DRIVEN: &str = "hyper, driven in the task";
pub const GO: &str = "Go net/http";
pub const TONIC: &str = "tonic from memory";

/// A contender: it does a job, and says what that cost.
pub type Contender<'a> = (&'static str, Box<dyn FnMut(&Job) -> Measure + 'a>);

/// A service, and a caller of it.
pub struct Service {
    pub process: Worker,
    pub url: String,
    pub caller: Worker,
}

impl Service {
    pub fn new(program: &Path, arguments: &[&str]) -> Self {
        let (process, url, _) = Worker::service(program, arguments);
        Self {
            process,
            url,
            caller: mode("caller"),
        }
    }

    pub fn work(&mut self, job: &Job) -> Measure {
        let job = Job {
            server: self.url.clone(),
            ..job.clone()
        };
        let before = (self.process.cpu(), self.caller.cpu());
        let measure = alone(&mut self.caller, &job);
        Measure {
            cpu_s: self.process.cpu() - before.0,
            caller_s: Some(self.caller.cpu() - before.1),
            memory: Some(self.process.memory("VmHWM")),
            ..measure
        }
    }
}

pub fn fetchd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fetchd"))
}

pub fn baseline() -> Option<PathBuf> {
    env::var_os("FETCHD_BASELINE").map(PathBuf::from)
}

/// This program as a contender.
pub fn mode(name: &str) -> Worker {
    let mut worker = Worker::this(&[name]);
    assert_eq!(worker.line(), "ready");
    worker
}

pub fn tonic_server() -> Service {
    let mut process = Worker::this(&["tonic-server"]);
    let url = format!("http://{}", process.line());
    Service {
        process,
        url,
        caller: mode("caller"),
    }
}

/// Has `worker` do `job`.
pub fn alone(worker: &mut Worker, job: &Job) -> Measure {
    let before = worker.cpu();
    let answer = worker.work(job);
    Measure {
        wall_s: answer.wall_s,
        fetches: (job.count * job.batches * job.repeat) as f64,
        cpu_s: worker.cpu() - before,
        caller_s: None,
        memory: Some(worker.memory("VmHWM")),
        first_ms: answer.first_ms,
        p50_ms: answer.p50_ms,
        p99_ms: answer.p99_ms,
    }
}

/// Has curl do it, as a process of its own.
pub fn curl(config: &Path, job: &Job) -> Measure {
    let line = format!("url = \"{}\"\noutput = \"/dev/null\"\n", job.url);
    std::fs::write(config, line.repeat(job.count)).expect("the folder can be written");
    let begun = std::time::Instant::now();
    // `times` says what the children of a shell took, on its second line.
    let script = "curl -s --parallel --parallel-max \"$1\" -K \"$2\" && times";
    let output = Command::new("sh")
        .args(["-c", script, "curl", &job.concurrency.to_string()])
        .arg(config)
        .output();
    let output = output.expect("sh runs");
    assert!(output.status.success(), "curl has failed");
    let wall_s = begun.elapsed().as_secs_f64();
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

/// A certificate for 127.0.0.1 that is its own root, its key, and itself as PEM.
pub fn certificate(folder: &Path) -> [PathBuf; 3] {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
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
