//! TLS for the connections of callers.

#[cfg(test)]
mod tests;

use std::{convert::Infallible, io, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webpki::EndEntityCert;

use crate::{
    caller::Identity,
    config::{self, ConfigError},
    pem,
    reload::{Content, Reloaded, SettingFile},
    telemetry::ReloadCounter,
};

/// Accepts TLS connections with the current certificate.
///
/// Clones share the certificate.
#[derive(Clone)]
pub(super) struct Tls {
    settings: Arc<Reloaded<TlsAcceptor>>,
    reloads: ReloadCounter,
}

/// The only protocol we speak, as its name in ALPN.
const HTTP2: &[u8] = b"h2";

/// What we expect of `--tls-cert` and `--tls-client-ca`.
const CERTIFICATES: &str = "certificates in PEM";

/// How many bytes a connection may buffer for a caller that doesn't read, in addition to
/// what it's about to encrypt.
const MAX_BUFFER: usize = 32 << 10;

impl Tls {
    /// Reads the certificate and the other files.
    pub(super) fn load(files: &config::Tls, reloads: ReloadCounter) -> Result<Self, ConfigError> {
        let config::Tls {
            cert,
            key,
            client_ca,
        } = files.clone();
        let mut files = vec![
            SettingFile::new("tls-cert", cert),
            SettingFile::new("tls-key", key),
        ];
        files.extend(client_ca.map(|path| SettingFile::new("tls-client-ca", path)));
        let settings = Reloaded::load(files, acceptor)?;
        Ok(Self {
            settings: Arc::new(settings),
            reloads,
        })
    }

    /// Reads the files again when they change, until the future is dropped.
    pub(super) async fn watch(&self) -> Infallible {
        let watching = self.settings.watch(|reloaded| {
            self.reloads.count(reloaded.is_ok());
            match reloaded {
                Ok(()) => tracing::info!("read a new certificate for callers"),
                Err(error) => tracing::error!(
                    "cannot use the new certificate, the old one stays in use: {error}"
                ),
            }
        });
        watching.await
    }

    /// Performs the handshake. Returns the identity in the caller's certificate too.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<Identity>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = self.settings.current();
        let stream = acceptor
            .accept_with(stream, |session| session.set_buffer_limit(Some(MAX_BUFFER)))
            .await?;
        let (_, session) = stream.get_ref();
        // rustls accepts peers that don't use ALPN at all.
        if session.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("the peer doesn't offer HTTP/2 by ALPN"));
        }
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let identity = certificate.and_then(identity_in);
        Ok((stream, identity))
    }
}

/// Returns the first SPIFFE ID in a certificate, or else its first DNS name.
fn identity_in(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let uris = certificate.valid_uri_names();
    let mut spiffe = uris.filter(|uri| uri.starts_with("spiffe://"));
    let mut dns = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    spiffe
        .find_map(Identity::from_certificate)
        .or_else(|| dns.find_map(|name| Identity::from_certificate(&name)))
}

/// Creates an acceptor from a certificate, a key and maybe root certificates for clients.
fn acceptor(contents: &[Content<'_>]) -> Result<TlsAcceptor, ConfigError> {
    let [cert, key, client_ca @ ..] = contents else {
        unreachable!("there are at least a certificate and a key")
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs offers cipher suites for TLS 1.2 and 1.3");
    let builder = match client_ca.first() {
        Some(ca) => builder.with_client_cert_verifier(client_verifier(ca, provider)?),
        None => builder.with_no_client_auth(),
    };
    let chain = cert.parse(CERTIFICATES, pem::certificates)?;
    let private_key = key.parse("a private key in PEM", pem::private_key)?;
    let mut config = builder
        .with_single_cert(chain, private_key)
        .map_err(|error| key.unusable("the key of --tls-cert", error))?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // A resumed session isn't checked against the current --tls-client-ca. Connections
    // are long, so resumption would save little.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn client_verifier(
    ca: &Content<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let roots = ca.parse(CERTIFICATES, pem::roots)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| ca.unusable("root certificates", error))
}
