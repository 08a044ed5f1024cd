//! What went wrong between the service and an origin, by type and never by
//! text.

use std::{error::Error, time::Duration};

use rustls::{AlertDescription, CertificateError, OtherError};

use crate::{
    causes::{chain, with_causes},
    clock::Elapsed,
    connect::{ConnectError, Stage},
    http1,
    response::{FetchError, Reason},
};

/// The `connect_timeout` passed.
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

/// A response whose connection brought more than one.
pub(super) fn doubtful() -> FetchError {
    let message = "the origin sent more than one response on a reused connection: \
                   which of them is to this request is not known";
    FetchError {
        retryable: true,
        ..FetchError::new(Reason::Protocol, message)
    }
}

/// Which clock passed before there was a connection.
pub(super) fn unconnected_in_time(passed: Elapsed, stage: Stage) -> FetchError {
    let message = format!("{passed} while connecting, {stage}");
    FetchError::new(Reason::Timeout, message)
}

/// Which clock passed before the head was complete.
pub(super) fn late_head(passed: Elapsed) -> FetchError {
    let message = format!("{passed} before the response head was complete");
    FetchError::new(Reason::Timeout, message)
}

/// Which clock passed before the body was complete.
pub(super) fn late_body(passed: Elapsed) -> FetchError {
    let message = format!("{passed} before the body was complete");
    FetchError::new(Reason::Timeout, message)
}

/// Why a body is not what its headers say.
pub(super) fn undecodable(error: &(dyn Error + 'static)) -> FetchError {
    let message = format!(
        "the body is not what its Content-Encoding says: {}",
        with_causes(error)
    );
    FetchError::new(Reason::Decode, message)
}

/// Why there is no connection.
pub(super) fn unconnected(error: &ConnectError) -> FetchError {
    let new = |reason| FetchError::new(reason, with_causes(error));
    match error {
        ConnectError::Denied(denied) => FetchError::denied(denied.to_string(), denied.rule()),
        ConnectError::NoAddress { .. } => new(Reason::Dns).permanent(),
        ConnectError::Dns { .. } => new(Reason::Dns),
        ConnectError::NoSocket => new(Reason::Internal),
        ConnectError::Tcp { source, .. } if is_of_this_machine(source) => {
            let message = format!("the service cannot connect: {source}");
            FetchError::new(Reason::Internal, message)
        }
        ConnectError::Tcp { .. } | ConnectError::Tunnel { .. } => new(Reason::Connect),
        ConnectError::Tls { .. } => match find(error) {
            // Which rustls would print as it is in its memory.
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause)))) => {
                let message = format!("{error}: invalid peer certificate: {cause}");
                FetchError::new(Reason::Tls, message).permanent()
            }
            Some(fault) if is_permanent(fault) => new(Reason::Tls).permanent(),
            _ => new(Reason::Tls),
        },
    }
}

/// Returns true if connecting failed before anything was sent: file descriptors,
/// memory or ports are used up here.
fn is_of_this_machine(error: &std::io::Error) -> bool {
    // ENFILE, EMFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL.
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12 | 99))
}

/// What broke on an open connection, while `what` was read.
pub(super) fn broken(error: &http1::Error, what: &str) -> FetchError {
    let message = with_causes(error);
    match error {
        http1::Error::Malformed(_) => FetchError::new(Reason::Protocol, message),
        http1::Error::Closed(_) => FetchError::new(Reason::Disconnected, message),
        http1::Error::Io(_) => {
            let message = format!("reading {what}: {message}");
            // In TLS 1.3 a server refuses a client after the handshake.
            match find(error) {
                Some(fault @ rustls::Error::AlertReceived(_)) if is_permanent(fault) => {
                    FetchError::new(Reason::Tls, message).permanent()
                }
                _ => FetchError::new(Reason::Disconnected, message),
            }
        }
    }
}

/// Whether the same handshake would fail again: by what both sides are set to,
/// and not by what happened on the way.
fn is_permanent(fault: &rustls::Error) -> bool {
    use rustls::Error::{
        AlertReceived, InappropriateHandshakeMessage, InappropriateMessage, InvalidCertificate,
        InvalidMessage, NoApplicationProtocol, NoCertificatesPresented, PeerIncompatible,
        PeerMisbehaved, PeerSentOversizedRecord, UnsupportedNameType,
    };

    match fault {
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

/// The first error of type `E` in a chain of causes. An I/O error is asked for
/// what it holds, since its source is the source of that.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| {
        let held = error.downcast_ref::<std::io::Error>();
        let held = held.and_then(std::io::Error::get_ref);
        let held = held.and_then(|held| held.downcast_ref());
        error.downcast_ref().or(held)
    })
}
