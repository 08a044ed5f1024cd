//! `fetchd serve`: runs the service until SIGTERM or SIGINT.

mod args;
mod egress;
mod environment;
mod help;
mod listeners;
mod sources;
mod traces;

use std::process::ExitCode;

use anyhow::Context;
use futures_util::future::OptionFuture;
use serde::Serialize;
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{SignalKind, signal},
};
use tracing::level_filters::LevelFilter;

use super::{Usage, logging};
pub(crate) use args::Args;
use fetchd::{
    config::{Config, ConfigError, Limits, RequestLimits},
    server::{Server, Shutdown},
};
use listeners::Listeners;

/// All limits, for the log.
#[derive(Serialize)]
struct AllLimits<'a> {
    #[serde(flatten)]
    process: &'a Limits,
    #[serde(flatten)]
    requests: &'a RequestLimits,
}

/// Runs the server until a signal asks us to shut down.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut config = args.config();
    let checked = args.check();
    if let Err(usage) = checked.and_then(|()| config.validate().map_err(Usage::new)) {
        return usage.exit();
    }
    config.traces = match traces::from_environment(args.otlp_endpoint.as_ref()) {
        Ok(traces) => traces,
        Err(usage) => return usage.exit(),
    };
    logging::init(args.log_format, LevelFilter::INFO);
    environment::warn_about_unknown_variables();
    egress::warn_about_missing_prefixes(args);
    let files = super::raise_file_limit();
    config.origins.max_sockets = files.map(|files| sockets_for_origins(files, &config.limits));
    let served = runtime(args).and_then(|runtime| {
        let served = runtime.block_on(serve(args, config));
        // We may still be reading a file of settings, and on a network file system (or from
        // a pipe) that can take forever. tokio can't cancel that read, so don't wait for it.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<ConfigError>() {
            Ok(error) => Usage::new(error).exit(),
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Decides how many of our `files` fetches may use as sockets to origins. We keep the
/// rest in reserve. Otherwise callers and health checks couldn't connect any more when
/// fetches use up their share.
fn sockets_for_origins(files: usize, limits: &Limits) -> usize {
    /// Files for anything that isn't a connection (listeners, name servers, the
    /// runtime), plus the few connections above the limit.
    const OTHER_FILES: usize = 256;

    let reserved = (limits.max_connections as usize + OTHER_FILES).min(files / 2);
    let sockets = files - reserved;
    // Each request in flight needs one. Idle connections may need as many again.
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
    let limits = serde_json::json!(AllLimits {
        process: &config.limits,
        requests: &config.request_limits,
    });
    let egress = egress::Shown::from(&config.egress);
    let callers = config.callers.clone();
    let traces = config.traces.as_ref().map(|traces| traces.endpoint.clone());
    // First, since a file that can't be used is wrong usage.
    let server = Server::new(config)?;
    let listeners = Listeners::bind(args).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        address = %listeners.grpc.address,
        admin = listeners.admin.as_ref().map(|admin| tracing::field::display(admin.address)),
        tls = callers.tls_mode(),
        tokens = callers.token_file.is_some(),
        traces = traces.as_ref().map(tracing::field::display),
        allow_net = egress.allow_net,
        deny_net = egress.deny_net,
        allow_host = egress.allow_host,
        deny_host = egress.deny_host,
        allow_port = egress.allow_port,
        %limits,
        sources = %args.sources,
        "serving"
    );
    let admin = listeners
        .admin
        .map(|admin| server.admin().serve(admin.listener));
    let admin = OptionFuture::from(admin);
    tokio::select! {
        result = server.serve(listeners.grpc.listener, shutdown) => result.context("cannot serve")?,
        Some(result) = admin => result.context("cannot serve the admin listener")?,
    }
    tracing::info!("stopped");
    Ok(())
}

/// Requests a shutdown at every SIGTERM or SIGINT. The second one cuts the drain short.
fn shut_down_on_signals(shutdown: &Shutdown) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).context("cannot listen for signals")?;
        let shutdown = shutdown.clone();
        // This task runs until the process exits.
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                shutdown.request();
            }
        });
    }
    Ok(())
}
