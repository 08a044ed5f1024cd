//! Why there's no connection.

use std::{io, time::Duration};

use rustls::{AlertDescription, CertificateError, OtherError};

use super::Peer;
use crate::client::{setting::InvalidSetting, tls::TlsSettings};

/// Why we couldn't connect to an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// There's no TCP connection.
    #[error("cannot connect")]
    Tcp(#[source] io::Error),
    /// There's no TCP connection within this time.
    #[error("cannot connect within {0:?}")]
    Timeout(Duration),
    /// Something answers, but it isn't an HTTP/2 server.
    #[error("expected a gRPC service (HTTP/2 {} TLS), got {peer}", if *has_tls { "with" } else { "without" })]
    #[non_exhaustive]
    Unexpected {
        /// True if we expect TLS.
        has_tls: bool,
        /// What answers.
        peer: Peer,
    },
    /// One side rejects the other's certificate, or they have no TLS version or protocol in
    /// common. The message says which side it is.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// A file of the TLS settings can't be used (any more).
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
}

impl DialError {
    /// The error for a peer that doesn't speak HTTP/2.
    pub fn unexpected(peer: Peer, has_tls: bool) -> Self {
        Self::Unexpected { has_tls, peer }
    }

    /// The error for a TLS server that didn't agree on HTTP/2.
    pub(super) fn no_http2() -> Self {
        Self::Tls("expected a server that offers HTTP/2 (ALPN h2), got one that doesn't".to_owned())
    }
}

/// Explains why a TLS connection failed before the peer began to speak HTTP/2.
///
/// `was_asked` is `None` if we have a client certificate. Otherwise it tells if the server
/// asked for one.
pub(super) fn rejected(
    error: &io::Error,
    settings: &TlsSettings,
    was_asked: Option<bool>,
) -> DialError {
    let tls = error.get_ref().and_then(|error| error.downcast_ref());
    let problem = match tls {
        Some(rustls::Error::InvalidCertificate(problem)) => untrusted(problem, settings),
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            return DialError::no_http2();
        }
        Some(rustls::Error::AlertReceived(alert)) => refused(*alert, was_asked),
        // The first bytes weren't even a TLS record.
        Some(rustls::Error::InvalidMessage(_)) => {
            return DialError::unexpected(Peer::Plaintext, true);
        }
        Some(error) => error.to_string(),
        None if was_asked == Some(true) => {
            format!("{ASKS}, and closes the connection without one")
        }
        None => return DialError::unexpected(Peer::Silent(None), true),
    };
    DialError::Tls(problem)
}

const ASKS: &str = "the server asks for a client certificate (tls_identity, --tls-cert)";

/// Explains why we don't trust the server.
fn untrusted(error: &CertificateError, settings: &TlsSettings) -> String {
    let unsigned = |found| {
        let trusted = settings.trusted();
        format!("expected a server certificate signed by {trusted}, got {found}")
    };
    match error {
        CertificateError::UnknownIssuer => unsigned("one of an unknown issuer"),
        // Many authorities have the same name, such as `kubernetes`.
        CertificateError::BadSignature => unsigned("one with another signature"),
        // rustls would use the debug format for the cause.
        CertificateError::Other(OtherError(cause)) => {
            format!("the server's certificate is not valid: {cause}")
        }
        error => format!("the server's certificate is not valid: {error}"),
    }
}

/// Explains the alert of a server that doesn't trust us.
fn refused(alert: AlertDescription, was_asked: Option<bool>) -> String {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, DecryptError, HandshakeFailure, UnknownCA, UnsupportedCertificate,
    };

    match (alert, was_asked) {
        (CertificateRequired | BadCertificate | HandshakeFailure, Some(true)) => {
            format!("{ASKS}, and there is none")
        }
        (
            AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | DecryptError
            | UnknownCA
            | UnsupportedCertificate,
            None,
        ) => format!("the server rejects the client certificate: {alert:?}"),
        _ => format!("the server rejects the connection: {alert:?}"),
    }
}
