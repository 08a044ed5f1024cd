//! Certificate verification that can tell when an RSA key is too small.
//!
//! rustls just reports a bad signature in this case, and that isn't very helpful.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::rsa;

/// Verifies certificates exactly like rustls, but gives a better error for small RSA
/// keys.
#[derive(Debug)]
pub(super) struct Verifier(Arc<WebPkiServerVerifier>);

/// Error for an RSA key that has too few bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its RSA key has {bits} bits; expected at least {MIN_BITS}", bits = .0)]
struct SmallKey(usize);

/// The smallest RSA key rustls accepts, in bits. It rejects anything below.
const MIN_BITS: usize = 2048;

impl Verifier {
    pub(super) fn new(verifier: Arc<WebPkiServerVerifier>) -> Self {
        Self(verifier)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let mut certificates = std::iter::once(end_entity).chain(intermediates);
        verified.map_err(|error| explain(error, &mut certificates))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self
            .0
            .verify_tls12_signature(message, certificate, signature);
        verified.map_err(|error| explain(error, &mut std::iter::once(certificate)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self
            .0
            .verify_tls13_signature(message, certificate, signature);
        verified.map_err(|error| explain(error, &mut std::iter::once(certificate)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// If `error` is about a bad signature and any of `certificates` has a key that's too
/// small, then return [`SmallKey`] instead, since that's the actual cause.
fn explain<'a>(
    error: Error,
    certificates: &mut dyn Iterator<Item = &'a CertificateDer<'a>>,
) -> Error {
    if !matches!(
        error,
        Error::InvalidCertificate(CertificateError::BadSignature)
    ) {
        return error;
    }
    let small = certificates
        .filter_map(rsa::key_bits)
        .find(|bits| *bits < MIN_BITS);
    match small {
        Some(bits) => {
            let other = OtherError(Arc::new(SmallKey(bits)));
            Error::InvalidCertificate(CertificateError::Other(other))
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;

    use super::*;

    /// Verifies a self-signed certificate. The certificate is its own and only root.
    fn verify(der: &'static [u8], name: &'static str) -> Result<(), String> {
        let certificate = CertificateDer::from(der);
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let verifier = Verifier::new(builder.build().unwrap());
        let name = ServerName::try_from(name).unwrap();
        let result = verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now());
        result.map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn small_key_is_named_in_the_error() {
        let small = include_bytes!("../../../tests/data/rsa1024.der");
        let large = include_bytes!("../../../tests/data/rsa2048.der");
        let refused = verify(small, "weak.test").unwrap_err();
        assert!(refused.contains("SmallKey(1024)"), "{refused}");
        assert_eq!(
            SmallKey(1024).to_string(),
            "its RSA key has 1024 bits; expected at least 2048"
        );
        let accepted = verify(large, "strong.test");
        assert!(!accepted.is_err_and(|error| error.contains("RSA")));
    }
}
