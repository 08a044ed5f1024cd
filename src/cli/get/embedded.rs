//! The service inside `fetchd get`. We use it if there's no `--server`, and talk to it
//! over an in-memory connection.

use fetchd::{
    client::Client,
    config::{Config, Egress, Limits, Origins, RequestLimits},
    server::{Peer, Server},
};

use super::Args;
use crate::cli::parse::List;

/// Max calls the client keeps open at once. (A long list takes many calls.) We size the
/// embedded service's limits accordingly.
const MAX_CALLS: u32 = 32;

/// Buffer size of the in-memory connection, in bytes per direction.
const BUFFER_SIZE: usize = 256 << 10;

/// Files that we need for anything but sockets to origins: the input and the output, the
/// runtime, and name servers.
const OTHER_FILES: usize = 32;

/// Starts the service for `args` and returns a client for it. `files` is the limit of open
/// files, if we know it.
pub(super) fn start(args: &Args, files: Option<usize>) -> anyhow::Result<Client> {
    let mut config = config(args);
    // Without this, idle connections would take the files that requests need.
    config.origins.max_sockets = files.map(|files| files.saturating_sub(OTHER_FILES).max(1));
    client(config)
}

/// Starts a service and returns a client for it. The service stops when the client is
/// dropped.
pub(in crate::cli) fn client(config: Config) -> anyhow::Result<Client> {
    let server = Server::new(config)?;
    Ok(Client::over_connector(move || {
        let (near, far) = tokio::io::duplex(BUFFER_SIZE);
        // The client owns the other end, so this task ends when the client closes it.
        tokio::spawn(server.clone().serve_connection(far, Peer::Local));
        Ok(near)
    }))
}

/// Builds a config that doesn't limit the list any further than `args` do.
fn config(args: &Args) -> Config {
    Config {
        limits: Limits {
            default_concurrency: args.concurrency,
            max_concurrency: args.concurrency,
            // The server sets one slot aside for each call, so add those on top.
            max_in_flight: args.concurrency + 2 * MAX_CALLS,
            max_batches: Some(MAX_CALLS),
            max_request_bytes: Limits::MAX_BYTES,
            max_queued_bytes: Limits::MAX_BYTES,
            ..Limits::default()
        },
        request_limits: RequestLimits {
            max_timeout: RequestLimits::MAX_TIMEOUT,
            max_body_bytes: u64::MAX,
        },
        egress: Egress {
            allow_net: List::concat(&args.service.allow_net),
            ..Egress::default()
        },
        origins: Origins {
            extra_roots: args.service.ca_cert.clone().unwrap_or_default().0,
            proxy: args.service.proxy.clone(),
            ..Origins::default()
        },
        ..Config::default()
    }
}
