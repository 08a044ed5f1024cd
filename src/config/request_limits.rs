//! Upper limits for request options.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::ConfigError;

/// Upper limits for request options. If a request asks for more, the value is lowered to
/// its limit. As with [`Limits`](super::Limits), the serialized durations are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestLimits {
    /// The upper limit for `max_body_bytes`. Default: 1 GiB.
    pub max_body_bytes: u64,
    /// The upper limit for `timeout`. Default: 10 min.
    #[serde(rename = "max_timeout_s", serialize_with = "in_seconds")]
    pub max_timeout: Duration,
}

impl RequestLimits {
    /// The upper limit for `max_timeout` itself.
    pub const MAX_TIMEOUT: Duration = Duration::from_hours(24);

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_timeout.is_zero() || self.max_timeout > Self::MAX_TIMEOUT {
            let expected = "expected more than 0s and at most 1day".to_owned();
            let value = format!("{:?}", self.max_timeout);
            return Err(ConfigError::new("max-timeout", value, expected));
        }
        Ok(())
    }
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn in_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 30,
            max_timeout: Duration::from_mins(10),
        }
    }
}
