//! Puts a mixed load on the service: small and large bodies, faults, and callers that
//! cancel or read slowly. Prints the memory, open files and tasks of the service each
//! minute. If nothing leaks, the last values are close to those of the first minute.
//!
//! `cargo run --release --example soak -- 30` runs for 30 minutes.

#![allow(clippy::pedantic, clippy::print_stdout, clippy::disallowed_types)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fetchd::{
    client::{Client, Request},
    config::Config,
    server::{Server, Shutdown},
};
use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Counts of the finished requests and cancelled calls.
#[derive(Default)]
struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    match env::args().nth(1).as_deref() {
        Some("serve") => serve().await,
        minutes => soak(minutes.unwrap_or("30").parse()?).await,
    }
}

/// Runs the service, and prints its resource usage each minute.
async fn serve() -> Result<(), BoxError> {
    let mut config = Config::default();
    config.egress.allow_net = vec!["127.0.0.0/8".parse()?];
    config.limits.max_per_host = 200;
    config.limits.stall_timeout = Duration::from_secs(5);
    let server = Server::new(config)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async {
        let mut minutes = time::interval(Duration::from_secs(60));
        for minute in 0.. {
            minutes.tick().await;
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            let tasks = Handle::current().metrics().num_alive_tasks();
            let memory = memory.unwrap_or_default().trim();
            println!("minute {minute}: memory {memory}, files {files}, tasks {tasks}");
        }
    });
    server.serve(listener, Shutdown::new()).await?;
    Ok(())
}

/// Starts the service as a child process, and runs twelve callers against it.
async fn soak(minutes: u64) -> Result<(), BoxError> {
    let mut child = Command::new(env::current_exe()?)
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(
        child
            .stdout
            .take()
            .ok_or("the output of the service is not piped")?,
    )
    .lines();
    let address = lines
        .next()
        .ok_or("the service exited before it printed its address")??;
    let origin = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", origin.local_addr()?);
    tokio::spawn(answer_all(origin));
    let counts = Arc::new(Counts::default());
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut callers = Vec::new();
    for kind in 0..12_u64 {
        let client = Client::connect(format!("http://{address}")).await?;
        let (base, counts) = (base.clone(), Arc::clone(&counts));
        callers.push(tokio::spawn(call(kind, client, base, counts, end)));
    }
    let printed = Arc::clone(&counts);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let [done, failed, cancelled] = [&printed.done, &printed.failed, &printed.cancelled]
                .map(|count| count.load(Ordering::Relaxed));
            println!("{line}; {done} done, {failed} with an error, {cancelled} calls cancelled");
        }
    });
    for caller in callers {
        caller.await?;
    }
    // The last line shows the resources that are held a minute after the last call.
    time::sleep(Duration::from_secs(61)).await;
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Sends batches until `end`, as one of four kinds of caller.
async fn call(kind: u64, client: Client, base: String, counts: Arc<Counts>, end: Instant) {
    let paths = [
        "small", "large", "slow", "reset", "empty", "garbage", "cut", "busy",
    ];
    let mut round = kind;
    while Instant::now() < end {
        round += 1;
        let requests = (0..200).map(|index| {
            let path = paths[(index + round as usize) % paths.len()];
            Request::get(format!("{base}/{path}")).max_attempts(1 + (index as u32 % 2))
        });
        let mut outcomes = client
            .fetch(requests)
            .concurrency(20 + (round % 60) as u32)
            .outcomes();
        let mut seen = 0;
        while let Some(outcome) = outcomes.next().await {
            let count = if outcome.error.is_some() {
                &counts.failed
            } else {
                &counts.done
            };
            count.fetch_add(1, Ordering::Relaxed);
            seen += 1;
            match kind % 4 {
                // Cancels the call halfway.
                1 if seen == 100 => {
                    counts.cancelled.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                // Reads slowly.
                2 => time::sleep(Duration::from_millis(5)).await,
                // Stops reading for longer than the stall timeout.
                3 if seen == 50 && round.is_multiple_of(10) => {
                    time::sleep(Duration::from_secs(7)).await
                }
                _ => {}
            }
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// Serves each connection of the origin in a task.
async fn answer_all(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream));
    }
}

/// Answers the requests of one connection, with a fault that depends on the path.
async fn answer(mut stream: TcpStream) {
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let path = String::from_utf8_lossy(&head);
        let path = path.split(' ').nth(1).unwrap_or_default();
        let (answer, closes): (Vec<u8>, bool) = match path {
            "/large" => (with_body(&[b'x'; 300 << 10]), false),
            "/slow" => {
                time::sleep(Duration::from_millis(300)).await;
                (with_body(b"slow"), false)
            }
            "/reset" => {
                let _ = stream.set_zero_linger();
                return;
            }
            "/empty" => return,
            "/garbage" => (b"garbage\r\n\r\n".to_vec(), true),
            "/cut" => (
                b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut".to_vec(),
                true,
            ),
            "/busy" => (
                b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec(),
                false,
            ),
            _ => (with_body(b"small"), false),
        };
        if stream.write_all(&answer).await.is_err() || closes {
            return;
        }
    }
}

/// Returns a 200 response with `body`.
fn with_body(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
