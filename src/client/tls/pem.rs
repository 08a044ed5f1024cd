//! PEM texts and files.

use std::{borrow::Cow, fmt, path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::client::setting::{InvalidSetting, read_file};

/// A text in PEM format, or the file that contains it.
///
/// Neither debug output nor messages show the text.
#[derive(Clone)]
pub(super) enum Pem {
    Text(Arc<[u8]>),
    File(PathBuf),
}

impl Pem {
    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into().into())
    }

    /// Returns the certificates. There's at least one. `name` is the setting.
    pub(super) fn certificates(
        &self,
        name: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, InvalidSetting> {
        let expected = "PEM certificates";
        let text = self.read(name, expected)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match certificates {
            Ok(found) if found.is_empty() => Err(self.invalid(name, expected, "there are none")),
            Ok(found) => Ok(found),
            Err(error) => Err(self.invalid(name, expected, error)),
        }
    }

    /// Returns the certificates as roots.
    pub(super) fn roots(&self, name: &'static str) -> Result<RootCertStore, InvalidSetting> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(name)? {
            roots
                .add(certificate)
                .map_err(|error| self.invalid(name, "X.509 certificates", error))?;
        }
        Ok(roots)
    }

    /// Returns the first private key.
    pub(super) fn private_key(
        &self,
        name: &'static str,
    ) -> Result<PrivateKeyDer<'static>, InvalidSetting> {
        let expected = "a PEM private key";
        let text = self.read(name, expected)?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound => self.invalid(name, expected, "there is none"),
            error => self.invalid(name, expected, error),
        })
    }

    fn read(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Cow<'_, [u8]>, InvalidSetting> {
        match self {
            Self::Text(text) => Ok(text.as_ref().into()),
            Self::File(path) => match read_file(path) {
                Ok(content) => Ok(content.into()),
                Err(error) => Err(self.invalid(name, expected, error)),
            },
        }
    }

    pub(super) fn invalid(
        &self,
        name: &'static str,
        expected: &'static str,
        found: impl fmt::Display,
    ) -> InvalidSetting {
        let problem = match self {
            Self::Text(_) => format!("expected {expected} ({found})"),
            Self::File(path) => format!(
                "expected a file of {expected}, got \"{}\" ({found})",
                path.display()
            ),
        };
        InvalidSetting::new(name, problem)
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.debug_tuple("Text").finish_non_exhaustive(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
