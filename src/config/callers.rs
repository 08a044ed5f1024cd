//! How callers prove who they are, and how the server does.

use std::path::PathBuf;

/// Files that the server reads for its callers. It reads them again when they change, so
/// they can be replaced while it runs.
///
/// If a file can't be used when the server starts, [`Server::new`](crate::server::Server::new)
/// fails. Later, the server logs the problem and keeps what it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Callers {
    /// Serve TLS instead of clear text. Default (`None`): clear text.
    pub tls: Option<Tls>,
    /// A file with a name and a token a line, separated by white space. Blank lines and
    /// lines that begin with `#` are skipped.
    ///
    /// Calls must have one of the tokens in their `authorization` header, as
    /// `Bearer TOKEN`. Otherwise, they end with `UNAUTHENTICATED`, and nothing of their
    /// message is read. Only health checks need no token. Calls over [`Peer::Local`] need
    /// none either, since they come from the process itself.
    ///
    /// The name is the identity of the caller. It has up to 64 letters, digits, `-`, `_`
    /// and `.`, and may have several tokens, so that a token can be replaced without an
    /// interruption. A token has up to 4096 visible ASCII characters. Default: none.
    ///
    /// [`Peer::Local`]: crate::server::Peer::Local
    pub token_file: Option<PathBuf>,
}

/// TLS for the connections of callers. They have to offer HTTP/2 by ALPN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate and its intermediates, in PEM.
    pub cert: PathBuf,
    /// The private key of the certificate, in PEM (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Root certificates in PEM. If it's set, callers must have a certificate that one of
    /// them has issued. The certificate's first SPIFFE ID, or else its first DNS name, is
    /// the identity of a caller that has no token. Default: none.
    pub client_ca: Option<PathBuf>,
}

impl Callers {
    /// Returns `off`, `server`, or `mutual` if callers must have a certificate.
    pub fn tls_mode(&self) -> &'static str {
        match &self.tls {
            None => "off",
            Some(tls) if tls.client_ca.is_none() => "server",
            Some(_) => "mutual",
        }
    }
}
