//! PEM texts and files.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::{client::setting::InvalidSetting, small_file};

/// A text in PEM format, or the file that contains it.
///
/// Neither debug output nor messages show the text.
#[derive(Clone)]
pub(super) enum PemSource {
    Text(Arc<[u8]>),
    File(PathBuf),
}

impl PemSource {
    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into().into())
    }

    /// Reads the text and parses it. If that fails, the error names the setting and says
    /// what we expected.
    pub(super) fn parse<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, InvalidSetting> {
        let parsed = match self {
            Self::Text(text) => parse(text),
            Self::File(path) => match small_file::read(path) {
                Ok(text) => parse(&text),
                Err(error) => Err(error.to_string()),
            },
        };
        parsed.map_err(|found| self.invalid(name, expected, found))
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

impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.debug_tuple("Text").finish_non_exhaustive(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
