//! The service inside `fetchd get`: used if no `--server` is given, over a
//! connection in memory.

use fetchd::{
    client::Client,
    config::{Config, Egress, Limits, RequestLimits},
    server::{Peer, Server},
};

use super::Args;
use crate::cli::parse::List;

/// The most calls that the client has open at once. A long list is sent in many.
const MAX_CALLS: u32 = 32;

/// The capacity of the connection in each direction, in bytes.
const BUFFER_SIZE: usize = 256 << 10;

/// Starts a service and returns a client of it. The service ends with the client.
pub(super) fn start(args: &Args) -> anyhow::Result<Client> {
    let server = Server::new(config(args))?;
    Ok(Client::over_connector(move || {
        let (near, far) = tokio::io::duplex(BUFFER_SIZE);
        // The task ends with the connection, which the client owns.
        tokio::spawn(server.clone().serve_connection(far, Peer::Local));
        Ok(near)
    }))
}

/// Returns a configuration in which only `args` limit the list.
fn config(args: &Args) -> Config {
    Config {
        limits: Limits {
            default_concurrency: args.concurrency,
            max_concurrency: args.concurrency,
            // One slot is reserved for each call, so these come on top.
            max_in_flight: args.concurrency + 2 * MAX_CALLS,
            max_batches: Some(MAX_CALLS),
            max_request_bytes: Limits::MAX_BYTES,
            max_queued_bytes: Limits::MAX_BYTES,
            ..Limits::default()
        },
        request_limits: RequestLimits {
            max_timeout: RequestLimits::MAX_TIMEOUT,
            ..RequestLimits::default()
        },
        egress: Egress {
            allow_net: List::concat(&args.allow_net),
            ..Egress::default()
        },
        ..Config::default()
    }
}
