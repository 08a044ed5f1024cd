//! TLS settings for the connections to replicas.
//!
//! Files are read again for each connection, so certificates can be rotated without a
//! restart.

mod pem_source;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    sign::CertifiedKey,
};

use super::setting::InvalidSetting;
use crate::pem;
use pem_source::PemSource;

/// Who we trust, and who we are.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// The trusted root certificates. If there aren't any, we trust the system's.
    ca: Option<PemSource>,
    identity: Option<Identity>,
    /// We read the system's roots once, since there may be hundreds of them.
    system_roots: Arc<OnceLock<Arc<RootCertStore>>>,
}

/// Our certificate chain and its private key.
#[derive(Debug, Clone)]
struct Identity {
    cert: PemSource,
    key: PemSource,
}

/// The answer to a server that asks for a client certificate, if we have none. It remembers
/// that it was asked, because not all servers tell why they reject us.
#[derive(Debug, Default)]
pub(super) struct NoIdentity(AtomicBool);

/// What we need for a handshake.
pub(super) struct Handshake {
    pub(super) config: Arc<ClientConfig>,
    /// `None` if we have an identity.
    pub(super) no_identity: Option<Arc<NoIdentity>>,
}

/// The only protocol we speak, as its name in ALPN.
pub(super) const HTTP2: &[u8] = b"h2";

/// What we expect of `tls_ca` and `tls_cert`.
const CERTIFICATES: &str = "PEM certificates";

impl TlsSettings {
    /// Trusts these root certificates (PEM) instead of the system's.
    pub fn set_ca(&mut self, pem: impl Into<Vec<u8>>) {
        self.ca = Some(PemSource::text(pem));
    }

    /// Like [`set_ca`](Self::set_ca), but with a file.
    pub fn set_ca_file(&mut self, path: impl Into<PathBuf>) {
        self.ca = Some(PemSource::File(path.into()));
    }

    /// Uses this certificate chain and its private key (PEM) if a server asks for them.
    pub fn set_identity(&mut self, cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) {
        let (cert, key) = (PemSource::text(cert), PemSource::text(key));
        self.identity = Some(Identity { cert, key });
    }

    /// Like [`set_identity`](Self::set_identity), but with files.
    pub fn set_identity_files(&mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) {
        let (cert, key) = (PemSource::File(cert.into()), PemSource::File(key.into()));
        self.identity = Some(Identity { cert, key });
    }

    /// Returns the name of a setting, if any is set.
    pub fn first_set(&self) -> Option<&'static str> {
        match self {
            Self { ca: Some(_), .. } => Some("tls_ca"),
            Self {
                identity: Some(_), ..
            } => Some("tls_cert"),
            _ => None,
        }
    }

    /// Describes the roots that we trust.
    pub(super) fn trusted(&self) -> String {
        match &self.ca {
            Some(PemSource::File(path)) => format!("a root of {}", path.display()),
            Some(PemSource::Text(_)) => "a root of tls_ca".to_owned(),
            None => "a root of the system (tls_ca, --tls-ca sets others)".to_owned(),
        }
    }

    /// Reads all files and checks what they contain.
    ///
    /// # Errors
    ///
    /// Fails if a setting can't be used.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        self.handshake().map(|_| ())
    }

    /// Reads all files and creates the TLS configuration for a new connection. This blocks.
    pub(super) fn handshake(&self) -> Result<Handshake, InvalidSetting> {
        let roots = match &self.ca {
            Some(ca) => Arc::new(ca.parse("tls_ca", CERTIFICATES, pem::roots)?),
            None => Arc::clone(self.system_roots.get_or_init(system_roots)),
        };
        if roots.is_empty() {
            let problem = "expected root certificates, since the system has none";
            return Err(InvalidSetting::new("tls_ca", problem));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs offers cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let mut no_identity = None;
        let mut config = if let Some(Identity { cert, key }) = &self.identity {
            let chain = cert.parse("tls_cert", CERTIFICATES, pem::certificates)?;
            let private = key.parse("tls_key", "a PEM private key", pem::private_key)?;
            let config = builder.with_client_auth_cert(chain, private);
            config.map_err(|error| key.invalid("tls_key", "the private key of tls_cert", error))?
        } else {
            let resolver = Arc::<NoIdentity>::default();
            no_identity = Some(Arc::clone(&resolver));
            builder.with_client_cert_resolver(resolver)
        };
        config.alpn_protocols = vec![HTTP2.to_vec()];
        // Connections are kept for minutes, so it isn't worth the trouble: a resumed session
        // has the certificates of an earlier one.
        config.resumption = Resumption::disabled();
        Ok(Handshake {
            config: Arc::new(config),
            no_identity,
        })
    }
}

impl NoIdentity {
    /// Returns true if the server has asked for a client certificate.
    pub(super) fn was_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for NoIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}
