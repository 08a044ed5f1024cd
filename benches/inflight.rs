//! 10,000 requests in flight at once, to origins that take 1.5 s, through the
//! service and through a bare hyper-util client, each in a process of its own:
//! wall time and peak memory of each.
//!
//! `cargo bench --bench inflight`

#![allow(clippy::pedantic, clippy::disallowed_types, clippy::print_stdout)]

#[path = "../tests/support/process.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod process;

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fetchd::client::Client;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy, rt::TokioExecutor};
use process::Process;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    runtime::Runtime,
    task::JoinSet,
};

const REQUESTS: usize = 10_000;
const DELAY: Duration = Duration::from_millis(1500);

/// As the tests' support has it.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files can be raised");
    let runtime = Runtime::new().expect("a runtime starts");
    match env::args().nth(1).as_deref() {
        Some("origin") => runtime.block_on(origin()),
        Some("bare") => runtime.block_on(bare(env::args().nth(2).expect("a URL"))),
        _ => runtime.block_on(compare()),
    }
}

async fn compare() {
    let mut origin = this(&["origin"]);
    let mut said = BufReader::new(origin.stdout.take().expect("its output is piped")).lines();
    let url = said.next().expect("a line").expect("the origin's URL");

    let service = Process::serve(&[
        "--max-in-flight",
        "10001",
        "--max-batches",
        "1",
        "--max-concurrency",
        "10000",
    ]);
    let client = Client::connect(&service.url)
        .await
        .expect("the service answers");
    let begun = Instant::now();
    let mut outcomes = client
        .fetch((0..REQUESTS).map(|_| url.clone()))
        .concurrency(REQUESTS as u32);
    let mut answered = 0;
    while let Some(outcome) = outcomes.next().await {
        answered += usize::from(outcome.error.is_none());
    }
    let wall = begun.elapsed();
    let peak = service.peak_memory() >> 20;
    println!("service: {answered} of {REQUESTS} answered in {wall:.2?}, peak memory {peak} MiB");
    drop(service);

    let output = Command::new(env::current_exe().expect("its own path"))
        .args(["bare", &url])
        .output()
        .expect("the bare client runs");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    origin.kill().expect("the origin is there");
    origin.wait().expect("the origin ends");
}

fn this(arguments: &[&str]) -> std::process::Child {
    let mut command = Command::new(env::current_exe().expect("its own path"));
    let command = command.args(arguments).stdout(Stdio::piped());
    command.spawn().expect("a process starts")
}

/// Answers every request after the delay.
async fn origin() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a free port");
    let listener = socket.listen(REQUESTS as u32).expect("it listens");
    let address = listener.local_addr().expect("it has an address");
    println!("http://{address}/");
    std::io::stdout().flush().expect("somebody listens");
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                tokio::time::sleep(DELAY).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn bare(url: String) {
    let client: legacy::Client<_, Empty<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build_http();
    let client = Arc::new(client);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..REQUESTS {
        let (client, url) = (Arc::clone(&client), url.parse().expect("a URL"));
        tasks.spawn(async move {
            let response = client.get(url).await.ok()?;
            response.into_body().collect().await.ok()
        });
    }
    let answered = tasks.join_all().await.into_iter().flatten().count();
    let wall = begun.elapsed();
    let status = fs::read_to_string("/proc/self/status").expect("a process has a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.expect("it has a peak").trim();
    println!("bare:    {answered} of {REQUESTS} answered in {wall:.2?}, peak memory {peak}");
}
