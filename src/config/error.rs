//! Configuration errors.

use std::fmt;

use crate::egress::InvalidNetwork;

/// A setting has a value that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("--{flag}: {expected}, got \"{value}\"")]
pub struct ConfigError {
    flag: &'static str,
    value: String,
    expected: String,
}

impl ConfigError {
    /// Creates the error for a `value` of `flag`. `expected` describes which values would
    /// be accepted.
    pub(crate) fn new(flag: &'static str, value: impl fmt::Display, expected: String) -> Self {
        Self {
            flag,
            value: value.to_string(),
            expected,
        }
    }
}

impl From<InvalidNetwork> for ConfigError {
    fn from(invalid: InvalidNetwork) -> Self {
        Self::new(invalid.flag, invalid.network, invalid.expected)
    }
}
