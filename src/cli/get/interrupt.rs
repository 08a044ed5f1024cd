//! Handles Ctrl-C and SIGTERM during `fetchd get`.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::exit_code;

/// Tells when we should stop.
pub(super) struct Interrupt {
    token: CancellationToken,
    code: Arc<Mutex<u8>>,
}

impl Interrupt {
    /// Waits for the first Ctrl-C or SIGTERM from now on, so that we still print the
    /// results we have. The second one ends the process, even if we're stuck writing
    /// output.
    pub(super) fn listen() -> Self {
        let interrupt = Self {
            token: CancellationToken::new(),
            code: Arc::new(Mutex::new(exit_code::INTERRUPTED)),
        };
        let signals = signal(SignalKind::interrupt()).and_then(|interrupts| {
            let terminations = signal(SignalKind::terminate())?;
            Ok((interrupts, terminations))
        });
        match signals {
            Ok((interrupts, terminations)) => {
                let (token, code) = (interrupt.token.clone(), Arc::clone(&interrupt.code));
                // This task runs until the process exits.
                tokio::spawn(handle(interrupts, terminations, token, code));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot handle Ctrl-C: it ends the process at once");
            }
        }
        interrupt
    }

    /// Waits for the signal. Cancel-safe.
    pub(super) async fn received(&self) {
        self.token.cancelled().await;
    }

    /// The exit code after the signal.
    pub(super) fn exit_code(&self) -> u8 {
        *self.code.lock()
    }
}

async fn handle(
    mut interrupts: Signal,
    mut terminations: Signal,
    token: CancellationToken,
    code: Arc<Mutex<u8>>,
) {
    let mut next = async || {
        tokio::select! {
            _ = interrupts.recv() => exit_code::INTERRUPTED,
            _ = terminations.recv() => exit_code::TERMINATED,
        }
    };
    let first = next().await;
    *code.lock() = first;
    token.cancel();
    let second = next().await;
    std::process::exit(second.into());
}
