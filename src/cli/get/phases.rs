//! How long each phase of a request took.

use std::time::{Duration, SystemTime};

use fetchd::{
    client::{Error, FetchStats, Outcome},
    proto::Reason,
};
use serde::Serialize;

/// The phases of a request, in order and in microseconds. A phase that didn't happen is
/// `None`. The last one ends when the request ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(default)]
pub(super) struct Phases {
    /// Waiting for a slot. After a retry, this includes waits that are in `earlier` too,
    /// as long as it doesn't reach back to before the list.
    pub(super) queued: u64,
    /// Earlier attempts, redirects and the waits between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) earlier: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connect: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<u64>,
    /// Sending the request, and waiting for the head of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<u64>,
    /// Receiving the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<u64>,
}

/// A phase that a failed request didn't complete.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unfinished {
    Dns,
    Connect,
    Tls,
    Waiting,
}

impl Phases {
    /// Returns the phases of a request to `url`, in a list that began at `began`.
    pub(super) fn of(url: &str, outcome: &Outcome, began: SystemTime) -> Self {
        let stats = &outcome.stats;
        let since = outcome.ended.duration_since(began).unwrap_or_default();
        let before_dispatch = since.saturating_sub(stats.total.unwrap_or_default());
        let queued = micros(stats.queued.min(before_dispatch));
        let Some(total) = stats.total.map(micros) else {
            return Self {
                queued,
                ..Self::default()
            };
        };
        let mut phases = Self {
            queued,
            earlier: stats.earlier.map(micros),
            dns: stats.dns.map(micros),
            connect: stats.connect.map(micros),
            tls: stats.tls.map(micros),
            waiting: None,
            body: None,
        };
        let head = stats.first_byte.map(micros);
        let rest = head.unwrap_or(total).saturating_sub(phases.sum() - queued);
        let last = match head {
            Some(_) => Unfinished::Waiting,
            None => Unfinished::of(url, outcome),
        };
        *match last {
            Unfinished::Dns => &mut phases.dns,
            Unfinished::Connect => &mut phases.connect,
            Unfinished::Tls => &mut phases.tls,
            Unfinished::Waiting => &mut phases.waiting,
        } = Some(rest);
        phases.body = head.map(|head| total.saturating_sub(head));
        phases
    }

    /// Returns the length of all phases together, in microseconds.
    pub(super) fn sum(&self) -> u64 {
        let Self {
            queued,
            earlier,
            dns,
            connect,
            tls,
            waiting,
            body,
        } = *self;
        let others = [earlier, dns, connect, tls, waiting, body];
        queued + others.into_iter().flatten().sum::<u64>()
    }
}

impl Unfinished {
    /// Returns the phase in which a request ended that got no response.
    fn of(url: &str, outcome: &Outcome) -> Self {
        let FetchStats {
            connect,
            tls,
            connection_reused,
            ..
        } = outcome.stats;
        let reason = outcome.error.as_ref().and_then(Error::reason);
        let is_encrypted = reason == Some(Reason::Tls) || url.starts_with("https:");
        match (connect, tls) {
            _ if connection_reused => Self::Waiting,
            (None, _) if reason == Some(Reason::Dns) => Self::Dns,
            (None, _) => Self::Connect,
            (Some(_), None) if is_encrypted => Self::Tls,
            _ => Self::Waiting,
        }
    }
}

/// Converts to microseconds. Longer than the longest of them would be half a million years.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
