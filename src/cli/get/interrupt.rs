//! Handles Ctrl-C during `fetchd get`.

use tokio::signal;
use tokio_util::sync::CancellationToken;

use crate::cli::exit_code;

/// Returns a token that is cancelled at the first Ctrl-C, so that we still print the
/// results we have. A second Ctrl-C ends the process, even if we're stuck writing
/// output.
pub(super) fn token() -> CancellationToken {
    let token = CancellationToken::new();
    // This task runs until the process exits.
    tokio::spawn(handle_signals(token.clone()));
    token
}

async fn handle_signals(token: CancellationToken) {
    if let Err(error) = two_signals(&token).await {
        tracing::warn!(%error, "cannot handle Ctrl-C: it ends the process at once");
        return;
    }
    std::process::exit(exit_code::INTERRUPTED.into());
}

async fn two_signals(token: &CancellationToken) -> std::io::Result<()> {
    signal::ctrl_c().await?;
    token.cancel();
    signal::ctrl_c().await
}
