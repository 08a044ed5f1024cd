//! `fetchd serve`: runs the service until SIGTERM or SIGINT.

mod args;
mod environment;
mod listeners;

use std::process::ExitCode;

use anyhow::Context;
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{SignalKind, signal},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::level_filters::LevelFilter;

use super::{Usage, logging};
pub(crate) use args::Args;
use fetchd::{
    config::{Config, Limits},
    server::{Server, Shutdown},
};
use listeners::Listeners;

/// Serves until a signal asks for the shutdown.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut config = args.config();
    if let Err(error) = config.validate() {
        return Usage::new(error).exit();
    }
    logging::init(args.log_format, LevelFilter::INFO);
    environment::warn_about_unknown_variables();
    let files = super::raise_file_limit();
    config.origins.max_sockets = files.map(|files| sockets_for_origins(files, &config.limits));
    let served = runtime(args).and_then(|runtime| runtime.block_on(serve(args, config)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many of `files` may be sockets to origins. The rest is reserved, so
/// that callers and health checks can connect while fetches use all of theirs.
fn sockets_for_origins(files: usize, limits: &Limits) -> usize {
    /// The files besides connections: listeners, name servers, the runtime, and
    /// the connections above the limit.
    const OTHER_FILES: usize = 256;

    let reserved = (limits.max_connections as usize + OTHER_FILES).min(files / 2);
    let sockets = files - reserved;
    // One for each request in flight, and as many idle ones.
    let needed = 2 * limits.max_in_flight as usize;
    if sockets < needed {
        tracing::warn!(
            files,
            sockets,
            needed,
            "the limit of open files leaves fewer sockets for origins than --max-in-flight may need"
        );
    }
    sockets
}

fn runtime(args: &Args) -> anyhow::Result<Runtime> {
    let mut runtime = runtime::Builder::new_multi_thread();
    if let Some(threads) = args.worker_threads {
        runtime.worker_threads(threads as usize);
    }
    runtime
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

async fn serve(args: &Args, config: Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    shut_down_on_signals(&shutdown)?;
    let listeners = Listeners::bind(args).await?;
    let limits = config.limits.clone();
    let server = Server::new(config)?;
    tracing::info!(
        address = %listeners.grpc.address,
        admin = listeners.admin.as_ref().map(|admin| tracing::field::display(admin.address)),
        default_concurrency = limits.default_concurrency,
        max_concurrency = limits.max_concurrency,
        max_in_flight = limits.max_in_flight,
        max_batches = limits.batches(),
        max_batch_requests = limits.max_batch_requests,
        "serving"
    );
    let _admin = listeners
        .admin
        .map(|admin| AbortOnDropHandle::new(tokio::spawn(server.admin().serve(admin.listener))));
    server.serve(listeners.grpc.listener, shutdown).await;
    tracing::info!("stopped");
    Ok(())
}

/// Requests the shutdown at each SIGTERM or SIGINT. The second request cuts the
/// drain short.
fn shut_down_on_signals(shutdown: &Shutdown) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).context("cannot listen for signals")?;
        let shutdown = shutdown.clone();
        // Runs until the process exits.
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                shutdown.request();
            }
        });
    }
    Ok(())
}
