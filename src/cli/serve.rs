//! `fetchd serve`: the service, until SIGTERM or SIGINT.

mod args;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use anyhow::Context;
use futures_util::future::OptionFuture;
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
};
use tracing::level_filters::LevelFilter;

use super::{Usage, logging, value::Listen};
pub(crate) use args::Args;
use fetchd::{
    config::{Config, Limits},
    server::{Server, Shutdown},
};

/// Where the admin listener is by default.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Serves until it is told to stop.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut config = args.config();
    if let Err(error) = config.validate() {
        return Usage::line(error).exit();
    }
    logging::init(args.log_format, LevelFilter::INFO);
    warn_of_unknown_variables();
    let files = super::raise_file_limit();
    config.origins.max_sockets = files.map(|files| sockets_for_origins(files, &config.limits));
    match serve(args, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How many of `files` may be sockets to origins: callers, and health checks, get
/// in also when origins take all that is theirs.
fn sockets_for_origins(files: usize, limits: &Limits) -> usize {
    /// Listeners, name servers, the runtime, and connections beyond the limit.
    const OTHERS: usize = 256;

    let reserved = (limits.max_connections as usize + OTHERS).min(files / 2);
    let sockets = files - reserved;
    // As many idle connections as may be in flight, and as many again.
    let wished = 2 * limits.max_in_flight as usize;
    if sockets < wished {
        tracing::warn!(
            files,
            sockets,
            wished,
            "the limit of open files leaves fewer sockets to origins than --max-in-flight may need"
        );
    }
    sockets
}

fn serve(args: &Args, config: Config) -> anyhow::Result<()> {
    let mut runtime = runtime::Builder::new_multi_thread();
    if let Some(threads) = args.worker_threads {
        runtime.worker_threads(threads.into());
    }
    let runtime = runtime
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        request_on_signals(&shutdown)?;
        let (listener, address) = listen(args.listen).await?;
        let admin = listen_for_admin(args.admin_listen).await?;
        let limits = config.limits.clone();
        let server = Server::new(config)?;
        tracing::info!(
            %address,
            admin = admin.as_ref().map(|(_, address)| tracing::field::display(address)),
            default_concurrency = limits.default_concurrency,
            max_concurrency = limits.max_concurrency,
            max_in_flight = limits.max_in_flight,
            max_batches = limits.batches(),
            max_batch_requests = limits.max_batch_requests,
            "serving"
        );
        let admin = admin.map(|(listener, _)| server.admin().serve(listener));
        let admin = OptionFuture::from(admin);
        tokio::select! {
            result = server.serve(listener, shutdown) => result.context("serving")?,
            Some(result) = admin => result.context("serving the admin listener")?,
        }
        tracing::info!("stopped");
        Ok(())
    })
}

/// The admin listener. That there is none by default, since another process has
/// the port, is no reason not to serve.
async fn listen_for_admin(
    wished: Option<Listen>,
) -> anyhow::Result<Option<(TcpListener, SocketAddr)>> {
    match wished {
        Some(Listen(Some(address))) => listen(address).await.map(Some),
        Some(Listen(None)) => Ok(None),
        None => Ok(listen(ADMIN).await.map_or_else(
            |error| {
                tracing::warn!("no admin listener: {error:#}");
                None
            },
            Some,
        )),
    }
}

/// A listener, and the address that it has.
async fn listen(at: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(at).await;
    let listener = listener.with_context(|| format!("listening on {at}"))?;
    let address = listener.local_addr();
    Ok((listener, address.context("asking for the own address")?))
}

/// The first SIGTERM or SIGINT begins the shutdown; another makes it hurry.
fn request_on_signals(shutdown: &Shutdown) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).context("listening for signals")?;
        let shutdown = shutdown.clone();
        // Ends with the process.
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                shutdown.request();
            }
        });
    }
    Ok(())
}

/// A misspelt variable would otherwise be without effect and without a word.
fn warn_of_unknown_variables() {
    let known = super::variables();
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        // Kubernetes sets these for a Service of the name `fetchd`.
        let of_kubernetes = ["FETCHD_SERVICE_", "FETCHD_PORT"];
        if name.starts_with("FETCHD_")
            && !of_kubernetes.iter().any(|prefix| name.starts_with(prefix))
            && !known.iter().any(|known| known == name)
        {
            tracing::warn!("the variable {name} is set, but no flag has that name");
        }
    }
}
