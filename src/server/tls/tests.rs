use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;

fn file(flag: &'static str) -> SettingFile {
    SettingFile::new(flag, PathBuf::from(format!("/{flag}")))
}

/// A certificate with these names, and its key.
fn pair(names: Vec<SanType>) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

#[test]
fn identity_is_the_spiffe_id_or_a_dns_name() {
    let spiffe = "spiffe://cluster.local/ns/shop/sa/web";
    for (names, identity) in [
        (vec![dns("a.shop"), uri(spiffe)], Some(spiffe)),
        (vec![uri("spiffe://a/b c"), dns("A.shop")], Some("a.shop")),
        (
            vec![uri("https://a.shop"), dns("b.shop"), dns("c.shop")],
            Some("b.shop"),
        ),
        (vec![uri("https://a.shop")], None),
        (vec![SanType::IpAddress([10, 0, 0, 1].into())], None),
        (vec![], None),
    ] {
        let (certificate, _) = pair(names);
        let found = identity_in(certificate.der()).map(|found| found.to_string());
        assert_eq!(found.as_deref(), identity);
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (certificate, key) = pair(vec![dns("fetchd.test")]);
    let (cert, key) = (certificate.pem(), key.serialize_pem());
    let (_, other) = pair(vec![]);
    let other = other.serialize_pem();
    let half = &cert[..cert.len() / 2];
    let files = ["tls-cert", "tls-key", "tls-client-ca"].map(file);
    let accept = |texts: &[&str]| {
        let contents = files.iter().zip(texts).map(|(file, text)| Content {
            file,
            bytes: text.as_bytes(),
        });
        acceptor(&contents.collect::<Vec<_>>())
    };
    for (contents, expected) in [
        (
            ["", &key, &cert],
            "--tls-cert: expected certificates in PEM",
        ),
        (
            [half, &key, &cert],
            "--tls-cert: expected certificates in PEM",
        ),
        (
            [&cert, "", &cert],
            "--tls-key: expected a private key in PEM",
        ),
        (
            [&cert, &cert, &cert],
            "--tls-key: expected a private key in PEM",
        ),
        (
            [&cert, &other, &cert],
            "--tls-key: expected the key of --tls-cert",
        ),
        (
            [&cert, &key, ""],
            "--tls-client-ca: expected certificates in PEM",
        ),
        (
            [&cert, &key, &key],
            "--tls-client-ca: expected certificates in PEM",
        ),
    ] {
        let error = accept(&contents).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    assert!(accept(&[&cert, &key, &cert]).is_ok());
    assert!(accept(&[&cert, &key]).is_ok());
}
