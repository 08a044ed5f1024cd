//! The service, in a process of its own.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use fetchd::{
    config::Config,
    server::{Server, Shutdown},
};
use tokio::{net::TcpListener, sync::watch, time};

use crate::{BoxError, callers::Counts, usage::Usage};

/// A running service. Dropping it kills the process.
pub(crate) struct Service {
    process: Child,
    url: String,
    samples: watch::Receiver<Vec<Sample>>,
}

/// What the service used after so many fetches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) usage: Usage,
    pub(crate) fetches: u64,
}

/// Runs the service. Prints its address, and what it uses each second.
#[allow(clippy::print_stdout)]
pub(crate) async fn serve() -> Result<(), BoxError> {
    let mut config = Config::default();
    config.egress.allow_net = vec!["127.0.0.0/8".parse()?];
    config.limits.stall_timeout = Duration::from_secs(5);
    let server = Server::new(config)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    tokio::spawn(async {
        let mut seconds = time::interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            println!("{}", Usage::now());
        }
    });
    server.serve(listener, Shutdown::new()).await?;
    Ok(())
}

impl Service {
    pub(crate) fn start(counts: Arc<Counts>) -> Result<Self, BoxError> {
        let mut process = Command::new(env::current_exe()?)
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the output isn't piped")?;
        let mut lines = BufReader::new(output).lines();
        let url = lines
            .next()
            .ok_or("the service exited before it printed its address")??;
        let (sender, samples) = watch::channel(Vec::new());
        thread::spawn(move || {
            for usage in lines.map_while(Result::ok).flat_map(|line| line.parse()) {
                let fetches = counts.fetches();
                sender.send_modify(|samples: &mut Vec<_>| samples.push(Sample { usage, fetches }));
            }
        });
        Ok(Self {
            process,
            url,
            samples,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits for this many more samples.
    pub(crate) async fn sampled(&mut self, count: usize) {
        let wanted = self.samples.borrow().len() + count;
        let sampled = self.samples.wait_for(|samples| samples.len() >= wanted);
        // It fails only if the service has exited. The report then shows an old sample.
        let _ = sampled.await;
    }

    /// Returns the latest usage.
    pub(crate) fn last(&self) -> Usage {
        let samples = self.samples.borrow();
        samples.last().map_or_else(Usage::now, |last| last.usage)
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.samples.borrow().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Either may fail if it has exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
