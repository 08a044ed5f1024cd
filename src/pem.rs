//! Certificates and keys in PEM.
//!
//! Errors tell what's wrong with the text, and never show it.

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error, PemObject},
    },
};

/// Returns all certificates. There's at least one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("there are none".to_owned());
    }
    Ok(found)
}

/// Returns all certificates as roots. There's at least one.
pub(crate) fn roots(text: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        let added = roots.add(certificate);
        added.map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// Returns the first private key.
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        Error::NoItemsFound => "there is none".to_owned(),
        error => error.to_string(),
    })
}
