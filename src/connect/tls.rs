//! Whom TLS trusts.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio_rustls::TlsConnector;

/// TLS that trusts the system's roots and `extra_roots` (DER). Certificates are
/// always verified.
pub(super) fn connector(extra_roots: &[Vec<u8>]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs().certs;
    let extra = extra_roots.iter().cloned().map(CertificateDer::from);
    let (added, _) = roots.add_parsable_certificates(found.into_iter().chain(extra));
    if added == 0 {
        tracing::warn!("no root certificates were found: every https origin will be refused");
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs offers cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
