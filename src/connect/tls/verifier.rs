//! rustls's verification, which takes a key that is too small for a bad
//! signature: here it is said by name.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// Verifies as rustls does.
#[derive(Debug)]
pub(super) struct Verifier(Arc<WebPkiServerVerifier>);

/// An RSA key of so many bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its RSA key has {bits} bits; at least {SMALLEST} are accepted", bits = .0)]
struct SmallKey(usize);

/// The smallest RSA key whose signatures are verified, in bits.
const SMALLEST: usize = 2048;

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
        verified.map_err(|error| by_name(error, &mut certificates))
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
        verified.map_err(|error| by_name(error, &mut std::iter::once(certificate)))
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
        verified.map_err(|error| by_name(error, &mut std::iter::once(certificate)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The same error, or that of the first of `certificates` whose key is too small
/// for its signatures to be looked at.
fn by_name<'a>(
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
        .filter_map(rsa_bits)
        .find(|bits| *bits < SMALLEST);
    match small {
        Some(bits) => {
            let error = OtherError(Arc::new(SmallKey(bits)));
            Error::InvalidCertificate(CertificateError::Other(error))
        }
        None => error,
    }
}

/// The size of the RSA key of a certificate. `None`: it has another key.
fn rsa_bits(certificate: &CertificateDer<'_>) -> Option<usize> {
    /// rsaEncryption (RFC 8017, A.1), as the content of an OBJECT IDENTIFIER.
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    const SEQUENCE: u8 = 0x30;

    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let key_info = parsed.subject_public_key_info();
    let (mut key_info, _) = element(SEQUENCE, &key_info)?;
    let (algorithm, rest) = element(SEQUENCE, key_info)?;
    key_info = rest;
    if element(OBJECT_IDENTIFIER, algorithm)?.0 != RSA {
        return None;
    }
    let (key, _) = element(BIT_STRING, key_info)?;
    // The first byte says how many bits of the last are not used: none.
    let (key, _) = element(SEQUENCE, key.get(1..)?)?;
    let (modulus, _) = element(INTEGER, key)?;
    let leading_zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = &modulus[leading_zeros..];
    let of_first = modulus.first()?.leading_zeros() as usize;
    Some(modulus.len() * 8 - of_first)
}

/// The content of the DER element at the start of `input`, which has `tag`, and
/// what follows it.
fn element(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = input.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (*first == tag).then_some((content, rest))
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;

    use super::*;

    /// What is said of a certificate that is its own root.
    fn verified(der: &'static [u8], name: &'static str) -> Result<(), String> {
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
    fn a_key_that_is_too_small_is_said_by_name() {
        let small = include_bytes!("../../../tests/data/rsa1024.der");
        let large = include_bytes!("../../../tests/data/rsa2048.der");
        assert_eq!(rsa_bits(&CertificateDer::from(&small[..])), Some(1024));
        assert_eq!(rsa_bits(&CertificateDer::from(&large[..])), Some(2048));
        let refused = verified(small, "weak.test").unwrap_err();
        assert!(refused.contains("SmallKey(1024)"), "{refused}");
        assert_eq!(
            SmallKey(1024).to_string(),
            "its RSA key has 1024 bits; at least 2048 are accepted"
        );
        let other = verified(large, "strong.test");
        assert!(!other.is_err_and(|error| error.contains("RSA")));
    }

    #[test]
    fn what_is_no_der_is_no_key() {
        for input in [
            &b""[..],
            b"\x30",
            b"\x30\x05a",
            b"\x30\x84\0\0\0\0",
            b"\x30\x82\x01",
        ] {
            assert_eq!(element(0x30, input), None);
        }
    }
}
