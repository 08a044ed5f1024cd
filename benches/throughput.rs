//! What the service costs: 100,000 fetches of 1 KiB from a lean local origin,
//! in calls of 10,000 at concurrency 50, through the service and through a bare
//! hyper-util client, in turn. Origin, service and bare client are processes of
//! their own, so that the CPU time and the memory of each can be told apart.
//!
//! `cargo bench --bench throughput`

#![allow(clippy::pedantic, clippy::disallowed_types, clippy::print_stdout)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fetchd::client::Client;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
    sync::Semaphore,
};

const FETCHES: usize = 100_000;
const PER_CALL: usize = 10_000;
const CONCURRENCY: usize = 50;
const BODY: usize = 1024;
const ROUNDS: usize = 5;

/// What one round through the service, or the bare client, took.
struct Round {
    wall: Duration,
    /// CPU time of the process that fetches.
    fetcher: Duration,
    /// CPU time of the process that asks for it, where that is another.
    caller: Duration,
}

fn main() {
    let runtime = Runtime::new().expect("a runtime starts");
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("origin") => runtime.block_on(origin()),
        Some("bare") => runtime.block_on(bare(&arguments[2])),
        _ => runtime.block_on(compare()),
    }
}

async fn compare() {
    let mut origin = Process::this(&["origin"]);
    let url = format!("http://{}/", origin.line());
    let mut service = Process::service();
    let address = service.address();
    let mut bare = Process::this(&["bare", &url]);
    bare.line();
    let client = Client::connect(format!("http://{address}")).await;
    let client = client.expect("the service was started");

    // A first one, not counted, warms both up.
    through(&client, &service, &url).await;
    bare.round();
    let (mut served, mut bared) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        served.push(through(&client, &service, &url).await);
        bared.push(bare.round());
    }

    println!(
        "{FETCHES} fetches of {BODY} B, concurrency {CONCURRENCY}, {ROUNDS} rounds in turn; medians (lowest to highest)"
    );
    print("service", &served, &service);
    print("bare   ", &bared, &bare);
    let ratios = served.iter().zip(&bared);
    let ratios =
        ratios.map(|(served, bare)| served.fetcher.as_secs_f64() / bare.fetcher.as_secs_f64());
    println!("CPU per fetch, service/bare: {}", spread(ratios, 2));
}

fn print(name: &str, rounds: &[Round], process: &Process) {
    let rate = |round: &Round| FETCHES as f64 / round.wall.as_secs_f64();
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / FETCHES as f64;
    let rates = spread(rounds.iter().map(rate), 0);
    let fetcher = spread(rounds.iter().map(|round| micros(round.fetcher)), 1);
    let caller = spread(rounds.iter().map(|round| micros(round.caller)), 1);
    let memory = process.peak_memory() >> 20;
    println!(
        "{name}: {rates} fetches/s; CPU µs/fetch {fetcher}, of its caller {caller}; peak memory {memory} MiB"
    );
}

fn spread(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, middle, high) = (
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    );
    format!("{middle:.digits$} ({low:.digits$} to {high:.digits$})")
}

async fn through(client: &Client, service: &Process, url: &str) -> Round {
    let (fetcher, caller, start) = (service.cpu(), cpu("self"), Instant::now());
    for _ in 0..FETCHES / PER_CALL {
        let mut outcomes = client
            .fetch((0..PER_CALL).map(|_| url))
            .concurrency(CONCURRENCY as u32);
        let mut count = 0;
        while let Some(outcome) = outcomes.next().await {
            let response = outcome.response.expect("the origin answers");
            assert_eq!(response.body.len(), BODY);
            count += 1;
        }
        assert_eq!(count, PER_CALL);
    }
    Round {
        wall: start.elapsed(),
        fetcher: service.cpu().saturating_sub(fetcher),
        caller: cpu("self").saturating_sub(caller),
    }
}

/// Fetches once for each line of standard input, and prints the time it took.
async fn bare(url: &str) {
    let client: legacy::Client<_, Empty<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build_http();
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let url: http::Uri = url.parse().expect("the address of the origin");
    println!("ready");
    for _ in std::io::stdin().lines() {
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..FETCHES {
            let slot = Arc::clone(&slots)
                .acquire_owned()
                .await
                .expect("never closed");
            let (client, url) = (client.clone(), url.clone());
            tasks.spawn(async move {
                let _slot = slot;
                let response = client.get(url).await.expect("the origin answers");
                let body = response.into_body().collect().await.expect("a whole body");
                assert_eq!(body.to_bytes().len(), BODY);
            });
            while tasks.try_join_next().is_some() {}
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no fetch panicked");
        }
        println!("{}", start.elapsed().as_micros());
    }
}

/// Answers every request with the same bytes.
async fn origin() {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {BODY}\r\n\r\n");
    let answer: Arc<[u8]> = [head.as_bytes(), &[b'x'; BODY]].concat().into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!(
        "{}",
        listener
            .local_addr()
            .expect("a bound listener has an address")
    );
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let mut buffer = [0; 4096];
            // A client without pipelining sends one request at a time, and
            // these are small enough to come in one piece.
            while let Ok(1..) = stream.read(&mut buffer).await {
                if stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// A process of the comparison, ended when it is dropped.
struct Process {
    child: Child,
    output: BufReader<Box<dyn std::io::Read>>,
}

impl Process {
    fn this(arguments: &[&str]) -> Self {
        let program = env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
        let output = child.stdout.take().expect("the output is piped");
        Self {
            child,
            output: BufReader::new(Box::new(output)),
        }
    }

    fn service() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--allow-net",
                "127.0.0.0/8",
            ])
            .args(["--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let output = child.stderr.take().expect("the log is piped");
        Self {
            child,
            output: BufReader::new(Box::new(output)),
        }
    }

    /// The address in the first line of the service's log.
    fn address(&mut self) -> String {
        loop {
            let line: serde_json::Value = serde_json::from_str(&self.line()).expect("a JSON log");
            if let Some(address) = line.get("address") {
                return address.as_str().expect("an address").to_owned();
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the process says something");
        line.trim_end().to_owned()
    }

    fn round(&mut self) -> Round {
        let before = self.cpu();
        let input = self.child.stdin.as_mut().expect("the input is piped");
        input.write_all(b"go\n").expect("the process reads");
        let micros = self.line().parse().expect("a time");
        Round {
            wall: Duration::from_micros(micros),
            fetcher: self.cpu().saturating_sub(before),
            caller: Duration::ZERO,
        }
    }

    fn cpu(&self) -> Duration {
        cpu(&self.child.id().to_string())
    }

    fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.expect("a peak in KiB") << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process, to a hundredth of a second.
fn cpu(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    // The second field may hold spaces, and ends with the last parenthesis.
    let fields = stat.rsplit(") ").next().expect("fields").split(' ');
    let ticks = fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("ticks"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
