//! TLS for origins, services and callers. Every test generates its own certificates.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

/// A test's certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Returns the root certificate in DER.
    pub(crate) fn root(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// Returns the root certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a host, or for a caller of this name.
    pub(crate) fn issue(&self, name: &str) -> Pair {
        self.sign(&params(name))
    }

    /// Issues a certificate for a SPIFFE ID.
    pub(crate) fn issue_spiffe(&self, id: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        self.sign(&params)
    }

    /// Returns an acceptor. Its certificate is valid for `host`.
    pub(crate) fn acceptor(&self, host: &str) -> TlsAcceptor {
        acceptor(&self.issue(host), rustls::ALL_VERSIONS, None, &[])
    }

    /// Returns an acceptor for `host`, but with a certificate that has expired.
    pub(crate) fn expired(&self, host: &str) -> TlsAcceptor {
        let mut params = params(host);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        acceptor(&self.sign(&params), rustls::ALL_VERSIONS, None, &[])
    }

    /// Returns an acceptor for `host` that only supports `version`, and that requires a
    /// client certificate.
    pub(crate) fn requiring_client_certificate(
        &self,
        host: &str,
        version: &'static SupportedProtocolVersion,
    ) -> TlsAcceptor {
        let pair = self.issue(host);
        acceptor(&pair, &[version], Some(self), &["h2", "http/1.1"])
    }

    /// Returns an acceptor for `host` that only offers HTTP/2.
    pub(crate) fn http2(&self, host: &str) -> TlsAcceptor {
        self.http2_over(host, rustls::ALL_VERSIONS)
    }

    /// Like [`http2`](Self::http2), but it only supports these TLS versions.
    pub(crate) fn http2_over(
        &self,
        host: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsAcceptor {
        acceptor(&self.issue(host), versions, None, &["h2"])
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair::new(&params.signed_by(&key, &self.0).unwrap(), &key)
    }
}

impl Pair {
    fn new(certificate: &Certificate, key: &KeyPair) -> Self {
        Self {
            cert: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn cert_der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// Returns an acceptor for `host`, but with a self-signed certificate.
pub(crate) fn self_signed(host: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let pair = Pair::new(&params(host).self_signed(&key).unwrap(), &key);
    acceptor(&pair, rustls::ALL_VERSIONS, None, &[])
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

/// Returns an acceptor. If there's an authority for `clients`, they need a certificate.
fn acceptor(
    pair: &Pair,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Authority>,
    alpn: &[&str],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = clients.map(|authority| {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .build()
            .unwrap()
    });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_single_cert(vec![pair.cert_der()], pair.key_der())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
