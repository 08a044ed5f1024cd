//! Reads the RSA key size from a certificate.

use rustls::{pki_types::CertificateDer, server::ParsedCertificate};

/// The OID `rsaEncryption` (RFC 8017, A.1), DER-encoded but without tag and length.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

// DER tags.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// Returns the RSA key size in bits, or `None` if `certificate` has some other kind of
/// key (or if we can't parse it).
pub(super) fn key_bits(certificate: &CertificateDer<'_>) -> Option<usize> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let key_info_der = parsed.subject_public_key_info();
    let (key_info, _) = element(SEQUENCE, &key_info_der)?;
    let (algorithm, after_algorithm) = element(SEQUENCE, key_info)?;
    let (algorithm_id, _) = element(OBJECT_IDENTIFIER, algorithm)?;
    if algorithm_id != RSA_ENCRYPTION {
        return None;
    }
    let (bit_string, _) = element(BIT_STRING, after_algorithm)?;
    // The first byte tells how many bits of the last byte are unused. It's always zero
    // here, so skip it.
    let (key, _) = element(SEQUENCE, bit_string.get(1..)?)?;
    let (modulus, _) = element(INTEGER, key)?;
    let zero_bytes = modulus.iter().take_while(|byte| **byte == 0).count();
    let significant = &modulus[zero_bytes..];
    let zero_bits = significant.first()?.leading_zeros() as usize;
    Some(significant.len() * 8 - zero_bits)
}

/// Reads the DER element at the start of `input`, which must have the given `tag`.
/// Returns its content and the remaining input.
fn element(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found_tag, after_tag) = input.split_first()?;
    let (first, after_first) = after_tag.split_first()?;
    let (length, body) = match first {
        0..=0x7f => (usize::from(*first), after_first),
        0x81..=0x83 => {
            let length_size = usize::from(first - 0x80);
            let (bytes, body) = after_first.split_at_checked(length_size)?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, body)
        }
        _ => return None,
    };
    let (content, rest) = body.split_at_checked(length)?;
    (*found_tag == tag).then_some((content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_size_is_read() {
        let small = include_bytes!("../../../tests/data/rsa1024.der");
        let large = include_bytes!("../../../tests/data/rsa2048.der");
        assert_eq!(key_bits(&CertificateDer::from(&small[..])), Some(1024));
        assert_eq!(key_bits(&CertificateDer::from(&large[..])), Some(2048));
    }

    #[test]
    fn malformed_der_is_not_an_element() {
        for input in [
            &b""[..],
            b"\x30",
            b"\x30\x05a",
            b"\x30\x84\0\0\0\0",
            b"\x30\x82\x01",
        ] {
            assert_eq!(element(SEQUENCE, input), None);
        }
    }
}
