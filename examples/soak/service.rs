//! The service, as a child process that reports its usage four times a second.

use std::{env, process::Stdio, time::Duration};

use fetchd::{
    config::Config,
    server::{Server, Shutdown},
};
use tokio::{
    io::{self, AsyncBufReadExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
    time,
};

use crate::{BoxError, usage::Usage};

/// The only argument of the child process.
pub(crate) const ARGUMENT: &str = "serve";

/// How long a caller may stop reading.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the service reports its usage.
const INTERVAL: Duration = Duration::from_millis(250);

/// The child process. It's killed if this is dropped.
pub(crate) struct Service {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Service {
    /// Starts the child process.
    ///
    /// # Errors
    ///
    /// Fails if it can't be started, or if it ends before it prints its address.
    pub(crate) async fn start() -> Result<Self, BoxError> {
        let mut child = Command::new(env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("the output isn't piped")?;
        let mut lines = BufReader::new(output).lines();
        let address = lines.next_line().await?;
        Ok(Self {
            _child: child,
            lines,
            address: address.ok_or("the service ended before it printed its address")?,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the next report, which takes about 250 ms if the service is healthy.
    /// Cancellation-safe.
    ///
    /// # Errors
    ///
    /// Fails if the process has ended.
    pub(crate) async fn usage(&mut self) -> Result<Usage, BoxError> {
        let line = self.lines.next_line().await?;
        line.ok_or("the service ended before the callers")?.parse()
    }
}

/// Runs the service. Prints its address, and then its usage at intervals. Ends with its
/// standard input, and thus with the process that started it.
///
/// # Errors
///
/// Fails if the service can't be started, or if `/proc` can't be read.
pub(crate) async fn serve() -> Result<(), BoxError> {
    let mut config = Config::default();
    config.egress.allow_net = vec!["127.0.0.0/8".parse()?];
    config.limits.stall_timeout = STALL_TIMEOUT;
    let server = Server::new(config)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let serving = tokio::spawn(server.serve(listener, Shutdown::new()));
    let (mut input, mut unused) = (io::stdin(), io::sink());
    tokio::select! {
        served = serving => Ok(served??),
        reported = report_usage() => reported,
        ended = io::copy(&mut input, &mut unused) => Ok(ended.map(|_| ())?),
    }
}

/// Prints the usage at intervals, until it can't be read.
async fn report_usage() -> Result<(), BoxError> {
    let mut intervals = time::interval(INTERVAL);
    loop {
        intervals.tick().await;
        println!("{}", Usage::of_this_process()?.to_line());
    }
}
