//! Turns any failure on the way to an origin and back into a [`FetchError`].
//!
//! We always look at an error's type, never at its text.

use std::{error::Error, time::Duration};

use rustls::{AlertDescription, CertificateError, OtherError};

use crate::{
    causes::{chain, with_causes},
    clock::Elapsed,
    connect::{ConnectError, Stage},
    http1,
    response::{FetchError, Reason},
};

/// Creates the error for a connection that took longer than `connect_timeout` to open.
pub(super) fn connect_timeout(timeout: Duration, stage: Stage) -> FetchError {
    let reason = match stage {
        Stage::Dns => Reason::Dns,
        Stage::Proxy | Stage::Tcp | Stage::Tls => Reason::Connect,
    };
    FetchError::new(
        reason,
        format!("connect_timeout of {timeout:?} passed {stage}"),
    )
}

/// Creates the error for a reused connection that carried more than one response.
pub(super) fn out_of_sync() -> FetchError {
    let message = "the origin sent more than one response on a reused connection, \
                   so the response may belong to another request";
    FetchError {
        retryable: true,
        ..FetchError::new(Reason::Protocol, message)
    }
}

/// Creates the error for running out of time while connecting.
pub(super) fn connect_deadline(passed: Elapsed, stage: Stage) -> FetchError {
    let message = format!("{passed} while connecting, {stage}");
    FetchError::new(Reason::Timeout, message)
}

/// Creates the error for running out of time before the head was complete.
pub(super) fn head_timeout(passed: Elapsed) -> FetchError {
    let message = format!("{passed} before the response head was complete");
    FetchError::new(Reason::Timeout, message)
}

/// Creates the error for running out of time before the body was complete.
pub(super) fn body_timeout(passed: Elapsed) -> FetchError {
    let message = format!("{passed} before the body was complete");
    FetchError::new(Reason::Timeout, message)
}

/// Creates the error for a body that we can't decode.
pub(super) fn undecodable(error: &(dyn Error + 'static)) -> FetchError {
    let message = format!(
        "the body does not match its Content-Encoding: {}",
        with_causes(error)
    );
    FetchError::new(Reason::Decode, message)
}

/// Creates the error for a connection that we couldn't open.
pub(super) fn connect(error: &ConnectError) -> FetchError {
    let new = |reason| FetchError::new(reason, with_causes(error));
    match error {
        ConnectError::Denied(denied) => FetchError::denied(denied.to_string(), denied.rule()),
        ConnectError::NoAddress { .. } => new(Reason::Dns).permanent(),
        ConnectError::Dns { .. } => new(Reason::Dns),
        ConnectError::NoSocket => new(Reason::Internal),
        ConnectError::Tcp { source, .. } if is_local(source) => {
            let message = format!("the service cannot connect: {source}");
            FetchError::new(Reason::Internal, message)
        }
        ConnectError::Tcp { .. } | ConnectError::Tunnel { .. } => new(Reason::Connect),
        ConnectError::Tls { .. } => match find(error) {
            // rustls would use the debug format for the cause here, so print it
            // ourselves.
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause)))) => {
                let message = format!("{error}: invalid peer certificate: {cause}");
                FetchError::new(Reason::Tls, message).permanent()
            }
            Some(error) if is_permanent(error) => new(Reason::Tls).permanent(),
            _ => new(Reason::Tls),
        },
    }
}

/// Returns true if we couldn't connect because this machine is short of something, i.e.
/// there are no more file descriptors, memory or ports.
fn is_local(error: &std::io::Error) -> bool {
    // ENFILE, EMFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL.
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12 | 99))
}

/// Creates the error for a connection that broke while we were reading `part` of the
/// response.
pub(super) fn broken(error: &http1::Error, part: &str) -> FetchError {
    let message = with_causes(error);
    match error {
        http1::Error::Malformed(_) => FetchError::new(Reason::Protocol, message),
        http1::Error::Closed(_) => FetchError::new(Reason::Disconnected, message),
        http1::Error::Io(_) => {
            let message = format!("reading {part}: {message}");
            // With TLS 1.3 the handshake may be over by the time the server rejects us.
            match find(error) {
                Some(error @ rustls::Error::AlertReceived(_)) if is_permanent(error) => {
                    FetchError::new(Reason::Tls, message).permanent()
                }
                _ => FetchError::new(Reason::Disconnected, message),
            }
        }
    }
}

/// Returns true if this handshake would just fail again, i.e. if it's down to how both
/// sides are configured and not to the network.
fn is_permanent(error: &rustls::Error) -> bool {
    use rustls::Error::{
        AlertReceived, InappropriateHandshakeMessage, InappropriateMessage, InvalidCertificate,
        InvalidMessage, NoApplicationProtocol, NoCertificatesPresented, PeerIncompatible,
        PeerMisbehaved, PeerSentOversizedRecord, UnsupportedNameType,
    };

    match error {
        AlertReceived(alert) => !matches!(
            alert,
            AlertDescription::CloseNotify
                | AlertDescription::UserCanceled
                | AlertDescription::InternalError
        ),
        InappropriateHandshakeMessage { .. }
        | InappropriateMessage { .. }
        | InvalidCertificate(_)
        | InvalidMessage(_)
        | NoApplicationProtocol
        | NoCertificatesPresented
        | PeerIncompatible(_)
        | PeerMisbehaved(_)
        | PeerSentOversizedRecord
        | UnsupportedNameType => true,
        _ => false,
    }
}

/// Walks the chain of causes and returns the first error of type `E`.
///
/// I/O errors need special care here: their `source()` isn't the error they wrap but
/// already the source of that one. So we look inside them as well.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| {
        error.downcast_ref().or_else(|| {
            let wrapped = error.downcast_ref::<std::io::Error>()?.get_ref()?;
            wrapped.downcast_ref()
        })
    })
}
