//! Process-wide limits.

use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::ConfigError;

/// Limits that keep any batch, or any number of them, from exhausting the process.
///
/// They can be serialized, for people to read: durations are in seconds, with names that end
/// in `_s`, and `max_batches` is its value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many requests of a batch may be in flight if the batch doesn't set a
    /// concurrency. Default: 50.
    pub default_concurrency: u32,
    /// How many requests of any batch may be in flight. If a batch sets a higher
    /// concurrency, it's lowered to this. Default: 512.
    pub max_concurrency: u32,
    /// How many requests may be in flight in the whole process. Any others have to wait.
    /// One slot is reserved for each of `max_batches`. At least 2. Default: 1024.
    pub max_in_flight: u32,
    /// How many requests to a single host may be in flight in the whole process, or 0 for
    /// no limit. Hosts are told apart by name and port of the request's own URL.
    /// Default: 0.
    pub max_per_host: u32,
    /// How many batches may run at once. Any further call ends with `RESOURCE_EXHAUSTED`
    /// and `RetryInfo`. At least 1, and at most half of `max_in_flight`. Default
    /// (`None`): a quarter of `max_in_flight`.
    pub max_batches: Option<u32>,
    /// How many batches a single caller may run at once, or 0 for no limit of its own. Any
    /// further call ends like those above `max_batches`. Default: 0.
    pub max_batches_per_caller: u32,
    /// How many requests may be in a batch. If there are more, the call ends with
    /// `INVALID_ARGUMENT`. Default: 10,000.
    pub max_batch_requests: u32,
    /// How large a request message may be, in bytes. If it's larger, the call ends with
    /// `OUT_OF_RANGE`. Default: 16 MiB.
    pub max_request_bytes: usize,
    /// How many bytes of request messages the process may hold, counting all batches. If
    /// another call would exceed this, it ends with `RESOURCE_EXHAUSTED` and `RetryInfo`.
    /// At least `max_request_bytes`. Default: 256 MiB.
    pub max_queued_bytes: usize,
    /// How many connections callers may have. Default: 4096.
    ///
    /// Another 64 connections are accepted so that health checks get through. If there's
    /// a batch on one of these, it waits up to 20 s for some other connection to close.
    /// Beyond that, connections aren't accepted until others close.
    pub max_connections: u32,
    /// A caller counts as gone if there are results for it but it doesn't take any for
    /// this long. It also counts as gone if it takes less than 16 KiB/s while other
    /// callers are waiting for a slot. Default: 60 s.
    pub stall_timeout: Duration,
    /// When a connection reaches this age, give or take a tenth, the server asks the
    /// caller to open another one. This way, callers spread over new replicas. Open
    /// batches aren't interrupted. Default: 5 min.
    pub max_connection_age: Duration,
    /// How often to ping an idle caller. Default: 20 s.
    pub keepalive_interval: Duration,
    /// If a caller doesn't answer a ping within this time, it counts as gone. Default:
    /// 10 s.
    pub keepalive_timeout: Duration,
}

impl Limits {
    /// The upper limit for all counts. Indices are `u32`, and a single process shouldn't
    /// have more than a million tasks or requests anyway.
    pub const MAX_COUNT: u32 = 1_000_000;

    /// The lower limit for `max_request_bytes`: 1 KiB.
    pub const MIN_REQUEST_BYTES: usize = 1 << 10;

    /// The upper limit for `max_queued_bytes`: 1 TiB.
    pub const MAX_BYTES: usize = 1 << 40;

    /// The lower limit for `stall_timeout` and `max_connection_age`.
    pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);

    /// Returns how many batches may run at once.
    pub fn batches(&self) -> u32 {
        self.max_batches
            .unwrap_or_else(|| (self.max_in_flight / 4).max(1))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.validate_counts()?;
        self.validate_bytes()?;
        self.validate_times()
    }

    fn validate_counts(&self) -> Result<(), ConfigError> {
        let counts = [
            ("default-concurrency", self.default_concurrency, 1),
            ("max-concurrency", self.max_concurrency, 1),
            ("max-in-flight", self.max_in_flight, 2),
            ("max-per-host", self.max_per_host, 0),
            ("max-batches", self.batches(), 1),
            ("max-batches-per-caller", self.max_batches_per_caller, 0),
            ("max-batch-requests", self.max_batch_requests, 1),
            ("max-connections", self.max_connections, 1),
        ];
        for (flag, count, least) in counts {
            if !(least..=Self::MAX_COUNT).contains(&count) {
                let highest = Self::MAX_COUNT;
                let expected = format!("expected a whole number from {least} to {highest}");
                return Err(ConfigError::new(flag, count, expected));
            }
        }
        if self.default_concurrency > self.max_concurrency {
            let most = self.max_concurrency;
            let expected = format!("expected at most --max-concurrency ({most})");
            let count = self.default_concurrency;
            return Err(ConfigError::new("default-concurrency", count, expected));
        }
        if self.batches() > self.max_in_flight / 2 {
            let most = self.max_in_flight / 2;
            let expected = format!("expected at most half of --max-in-flight ({most})");
            return Err(ConfigError::new("max-batches", self.batches(), expected));
        }
        Ok(())
    }

    fn validate_bytes(&self) -> Result<(), ConfigError> {
        if self.max_request_bytes < Self::MIN_REQUEST_BYTES {
            let bytes = self.max_request_bytes;
            let expected = "expected at least 1KiB".to_owned();
            return Err(ConfigError::new("max-request-bytes", bytes, expected));
        }
        let queued = self.max_queued_bytes;
        if !(self.max_request_bytes..=Self::MAX_BYTES).contains(&queued) {
            let (least, most) = (self.max_request_bytes, Self::MAX_BYTES);
            let expected = format!("expected {least} (--max-request-bytes) to {most} bytes");
            return Err(ConfigError::new("max-queued-bytes", queued, expected));
        }
        Ok(())
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        let times = [
            ("stall-timeout", self.stall_timeout),
            ("max-connection-age", self.max_connection_age),
        ];
        for (flag, time) in times {
            if time < Self::MIN_TIMEOUT {
                let expected = format!("expected at least {:?}", Self::MIN_TIMEOUT);
                return Err(ConfigError::new(flag, format!("{time:?}"), expected));
            }
        }
        Ok(())
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = [
            ("default_concurrency", self.default_concurrency),
            ("max_concurrency", self.max_concurrency),
            ("max_in_flight", self.max_in_flight),
            ("max_per_host", self.max_per_host),
            ("max_batches", self.batches()),
            ("max_batches_per_caller", self.max_batches_per_caller),
            ("max_batch_requests", self.max_batch_requests),
            ("max_connections", self.max_connections),
        ];
        let sizes = [
            ("max_request_bytes", self.max_request_bytes),
            ("max_queued_bytes", self.max_queued_bytes),
        ];
        let times = [
            ("stall_timeout_s", self.stall_timeout),
            ("max_connection_age_s", self.max_connection_age),
            ("keepalive_interval_s", self.keepalive_interval),
            ("keepalive_timeout_s", self.keepalive_timeout),
        ];
        let length = counts.len() + sizes.len() + times.len();
        let mut fields = serializer.serialize_struct("Limits", length)?;
        for (name, count) in counts {
            fields.serialize_field(name, &count)?;
        }
        for (name, size) in sizes {
            fields.serialize_field(name, &size)?;
        }
        for (name, time) in times {
            fields.serialize_field(name, &time.as_secs_f64())?;
        }
        fields.end()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_concurrency: 50,
            max_concurrency: 512,
            max_in_flight: 1024,
            max_per_host: 0,
            max_batches: None,
            max_batches_per_caller: 0,
            max_batch_requests: 10_000,
            max_request_bytes: 16 << 20,
            max_queued_bytes: 256 << 20,
            max_connections: 4096,
            stall_timeout: Duration::from_mins(1),
            max_connection_age: Duration::from_mins(5),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
        }
    }
}
