//! What went wrong between the service and an origin, by type and never by
//! text.

use std::{error::Error, io};

use hyper_util::client::legacy;

use crate::{
    causes::{chain, with_causes},
    clock::Passed,
    connect::{ConnectError, Stage, Unusable},
    response::{FetchError, Reason},
};

/// Whether nothing of the request was written: hyper gave it back, or its
/// connection turned out to be unusable.
pub(super) fn was_given_back(error: &legacy::Error) -> bool {
    let is_canceled = find::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled);
    !error.is_connect() && (is_canceled || is_unusable(error))
}

fn is_unusable(error: &legacy::Error) -> bool {
    let inner = find::<io::Error>(error).and_then(io::Error::get_ref);
    inner.is_some_and(<dyn Error + Send + Sync>::is::<Unusable>)
}

/// Why there is no head.
pub(super) fn unanswered(error: &legacy::Error) -> FetchError {
    if let Some(error) = find::<ConnectError>(error) {
        return unconnected(error);
    }
    match find::<hyper::Error>(error) {
        Some(error) => broken(error, "the response head"),
        None => FetchError::new(
            Reason::Internal,
            format!("the request was not sent: {}", with_causes(error)),
        ),
    }
}

/// An origin that speaks another protocol from here on, which nobody asked for.
pub(super) fn unasked_upgrade() -> FetchError {
    let message = "the origin switches protocols (101), which was not asked for";
    FetchError::new(Reason::Protocol, message)
}

/// A head that came in whole, and is too large for all that.
pub(super) fn large_head(limit: usize) -> FetchError {
    let message = format!("the response head has more than {limit} bytes");
    FetchError::new(Reason::Protocol, message)
}

/// A body in a transfer coding that nobody asked for (RFC 9112, 6.1).
pub(super) fn unknown_transfer() -> FetchError {
    let message = "the body has a Transfer-Encoding other than chunked";
    FetchError::new(Reason::Protocol, message)
}

/// Which clock passed before there was a connection.
pub(super) fn unconnected_in_time(passed: Passed, stage: Stage) -> FetchError {
    let message = format!("{passed} while connecting, {stage}");
    FetchError::new(Reason::Timeout, message)
}

/// Which clock passed before the head was complete.
pub(super) fn late_head(passed: Passed) -> FetchError {
    let message = format!("{passed} before the response head was complete");
    FetchError::new(Reason::Timeout, message)
}

/// Which clock passed before the body was complete.
pub(super) fn late_body(passed: Passed) -> FetchError {
    let message = format!("{passed} before the body was complete");
    FetchError::new(Reason::Timeout, message)
}

/// Why the body is cut short.
pub(super) fn broken_body(error: &hyper::Error) -> FetchError {
    broken(error, "the body")
}

/// Why a body is not what its headers say.
pub(super) fn undecodable(error: &(dyn Error + 'static)) -> FetchError {
    let message = format!(
        "the body is not what its Content-Encoding says: {}",
        with_causes(error)
    );
    FetchError::new(Reason::Decode, message)
}

fn unconnected(error: &ConnectError) -> FetchError {
    let new = |reason| FetchError::new(reason, with_causes(error));
    match error {
        ConnectError::Denied(denied) => FetchError::denied(denied.to_string(), denied.rule()),
        ConnectError::NoAddress { .. } => new(Reason::Dns).lasting(),
        ConnectError::Dns { .. }
        | ConnectError::TimedOut {
            stage: Stage::Dns, ..
        } => new(Reason::Dns),
        ConnectError::Tcp { .. } | ConnectError::Tunnel { .. } | ConnectError::TimedOut { .. } => {
            new(Reason::Connect)
        }
        ConnectError::Tls { source, .. } => {
            let fault = source.get_ref().and_then(|inner| inner.downcast_ref());
            match fault {
                Some(rustls::Error::InvalidCertificate(_)) => new(Reason::Tls).lasting(),
                _ => new(Reason::Tls),
            }
        }
    }
}

/// What hyper met on an open connection.
fn broken(error: &hyper::Error, what: &str) -> FetchError {
    use io::ErrorKind::{InvalidData, InvalidInput};

    let io = find::<io::Error>(error).map(io::Error::kind);
    let reason = match io {
        _ if error.is_incomplete_message() => Reason::Disconnected,
        _ if error.is_parse() => Reason::Protocol,
        Some(InvalidData | InvalidInput) => Reason::Protocol,
        None if error.is_user() => Reason::Internal,
        // Such as a banner that nobody asked for.
        None if !error.is_closed() && !error.is_canceled() => Reason::Protocol,
        _ => Reason::Disconnected,
    };
    FetchError::new(reason, format!("reading {what}: {}", with_causes(error)))
}

/// The first error of type `E` in a chain of causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}
