//! The TLS client configuration.

mod rsa;
mod verifier;

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, client::WebPkiServerVerifier, pki_types::CertificateDer,
};
use tokio_rustls::TlsConnector;

use verifier::Verifier;

/// Creates a connector that trusts the system's root certificates as well as
/// `extra_roots` (in DER). There's no way to turn off certificate verification.
pub(super) fn connector(extra_roots: &[Vec<u8>]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs().certs;
    let extra = extra_roots.iter().cloned().map(CertificateDer::from);
    let (added, _) = roots.add_parsable_certificates(system.into_iter().chain(extra));
    if added == 0 {
        tracing::warn!("no root certificates found: requests to https origins will fail");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs offers cipher suites for TLS 1.2 and 1.3");
    let roots = Arc::new(roots);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider).build();
    let mut config = match verifier {
        Ok(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(verifier)))
            .with_no_client_auth(),
        // Building the verifier only fails if there aren't any roots. Use the empty set
        // then: each verification will fail.
        Err(_) => builder.with_root_certificates(roots).with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
