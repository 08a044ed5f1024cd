//! Measures what connections and replicas cost a real service and a real caller.
//!
//! The service runs in a process of its own. It refuses all requests by its egress policy, so
//! that neither origins nor a network take part.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use fetchd::{
    client::Client,
    config::Config,
    server::{Server, Shutdown},
};
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time,
};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How many connections are open when their memory is measured.
const CONNECTIONS: usize = 1000;

/// The numbers of replicas of a caller whose time is measured.
pub(crate) const REPLICAS: [usize; 4] = [1, 10, 100, 1000];

/// How many requests of a list are in flight.
const CONCURRENCY: u32 = 512;

/// Lists are fetched until the caller has used this much CPU time, in seconds.
const MIN_CPU: f64 = 2.0;

/// How long a caller without requests is observed.
const IDLE: Duration = Duration::from_secs(20);

/// Ends the process when it's dropped.
struct Service {
    process: Child,
    /// The URLs of its replicas.
    urls: Vec<String>,
}

/// Measures everything, and writes the figures to the file `path`, a name and a value a line.
pub(crate) fn write(path: &str) -> Result<(), BoxError> {
    let figures = Runtime::new()?.block_on(figures())?;
    let lines = figures
        .iter()
        .map(|(name, value)| format!("{name} {value:.2}\n"));
    Ok(fs::write(path, lines.collect::<String>())?)
}

async fn figures() -> Result<Vec<(String, f64)>, BoxError> {
    let mut figures = connections().await?;
    for replicas in REPLICAS {
        let service = Service::start(replicas)?;
        let client = Client::connect(service.urls.join(",")).await?;
        fetch(&client).await;
        let start = cpu_seconds()?;
        let mut requests = 0;
        while cpu_seconds()? - start < MIN_CPU {
            requests += fetch(&client).await;
        }
        let each = (cpu_seconds()? - start) / f64::from(requests);
        figures.push((format!("request_us_{replicas}"), each * 1e6));
        if replicas == REPLICAS[REPLICAS.len() - 1] {
            let start = cpu_seconds()?;
            time::sleep(IDLE).await;
            let share = (cpu_seconds()? - start) / IDLE.as_secs_f64();
            figures.push(("idle_cpu_percent".to_owned(), 100.0 * share));
        }
    }
    Ok(figures)
}

/// Measures the memory of connections that have had a call and are idle now.
async fn connections() -> Result<Vec<(String, f64)>, BoxError> {
    let service = Service::start(1)?;
    let id = service.process.id().to_string();
    let before = [memory(&id)?, memory("self")?];
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = Client::connect(&service.urls[0]).await?;
        client.fetch_all(["http://127.0.0.1:1/"]).await;
        clients.push(client);
    }
    time::sleep(Duration::from_secs(1)).await;
    let after = [memory(&id)?, memory("self")?];
    let names = ["service_connection_kib", "caller_connection_kib"];
    let each = |place: usize| (after[place] - before[place]) / CONNECTIONS as f64;
    Ok((0..2)
        .map(|place| (names[place].to_owned(), each(place)))
        .collect())
}

/// Fetches a list of as many hosts, and returns its length.
async fn fetch(client: &Client) -> u32 {
    const LENGTH: u32 = 2000;
    let hosts = (0..LENGTH).map(|host| format!("http://127.1.{}.{}:1/", host / 250, host % 250));
    let results = client.fetch(hosts).concurrency(CONCURRENCY).all().await;
    let refused = results
        .iter()
        .filter(|result| result.as_ref().is_err_and(|e| e.name() == "BLOCKED"));
    assert_eq!(
        refused.count(),
        results.len(),
        "each request is refused by the policy"
    );
    LENGTH
}

impl Service {
    fn start(replicas: usize) -> Result<Self, BoxError> {
        let mut process = Command::new(env::current_exe()?)
            .args(["serve", &replicas.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the output is not piped")?;
        let lines = BufReader::new(output).lines().take(replicas);
        let urls = lines.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { process, urls })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves on this many addresses, and prints their URLs. All but the first lead to it.
pub(crate) fn serve(replicas: usize) -> Result<(), BoxError> {
    Runtime::new()?.block_on(async {
        let mut config = Config::default();
        // A single process stands for all replicas.
        config.limits.max_in_flight = 8192;
        config.limits.max_batches = Some(2048);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        println!("http://{address}");
        for _ in 1..replicas {
            let front = TcpListener::bind("127.0.0.1:0").await?;
            println!("http://{}", front.local_addr()?);
            tokio::spawn(async move {
                while let Ok((mut caller, _)) = front.accept().await {
                    tokio::spawn(async move {
                        let mut service = TcpStream::connect(address).await?;
                        service.set_nodelay(true)?;
                        caller.set_nodelay(true)?;
                        io::copy_bidirectional(&mut caller, &mut service).await
                    });
                }
            });
        }
        Ok(Server::new(config)?
            .serve(listener, Shutdown::new())
            .await?)
    })
}

/// Returns the resident memory of a process, in KiB.
fn memory(process: &str) -> Result<f64, BoxError> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.and_then(|line| line.split_whitespace().next());
    Ok(value.ok_or("expected VmRSS in /proc/PID/status")?.parse()?)
}

/// Returns the CPU time of this process, in seconds.
fn cpu_seconds() -> Result<f64, BoxError> {
    /// Linux counts in this unit on all common architectures.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat
        .rsplit_once(')')
        .ok_or("expected a name in /proc/self/stat")?
        .1;
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}
