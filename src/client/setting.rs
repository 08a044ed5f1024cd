//! Settings that can't be used.

use std::fmt;

use super::Error;

/// A setting that can't be used.
///
/// The message never contains the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct InvalidSetting {
    /// The name of the setting, e.g. `tls_ca`. `fetchd get` has a flag of the same name.
    pub name: &'static str,
    /// What we expected, and what we got.
    pub problem: String,
}

impl InvalidSetting {
    pub(super) fn new(name: &'static str, problem: impl fmt::Display) -> Self {
        let problem = problem.to_string();
        Self { name, problem }
    }
}

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::invalid(invalid.to_string())
    }
}
