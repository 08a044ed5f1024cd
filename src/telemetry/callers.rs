//! Metrics of the callers that have tokens.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;
use prometheus::{IntCounter, IntCounterVec};

use super::registry::Families;

/// The metrics of each caller in the token file. Other callers have none, since there
/// could be any number of them.
pub(crate) struct Callers {
    counters: Counters,
    names: RwLock<HashMap<Arc<str>, CallerMetrics>>,
}

/// The counters, with the caller as their label.
struct Counters {
    batches: IntCounterVec,
    fetches: IntCounterVec,
    body_bytes: IntCounterVec,
    refused: IntCounterVec,
}

/// The metrics of one caller.
#[derive(Debug, Clone)]
pub(crate) struct CallerMetrics {
    /// Batches that were admitted.
    pub(crate) batches: IntCounter,
    /// Requests that ended.
    pub(crate) fetches: IntCounter,
    /// Response body bytes sent to the caller.
    pub(crate) body_bytes: IntCounter,
    /// Calls refused with `RESOURCE_EXHAUSTED`.
    pub(crate) refused: IntCounter,
}

impl Callers {
    pub(super) fn new(families: &Families) -> Self {
        let counters = |name, help| families.counters(name, help, "caller");
        Self {
            counters: Counters {
                batches: counters("fetchd_caller_batches_total", "Batches of a caller"),
                fetches: counters(
                    "fetchd_caller_fetches_total",
                    "Requests of a caller that ended",
                ),
                body_bytes: counters(
                    "fetchd_caller_body_bytes_total",
                    "Bytes of response bodies sent to a caller",
                ),
                refused: counters(
                    "fetchd_caller_refused_total",
                    "Calls of a caller that were refused because of a limit",
                ),
            },
            names: RwLock::default(),
        }
    }

    /// Sets the names to have metrics for. New ones start at 0, and those that are gone
    /// aren't exposed anymore.
    pub(crate) fn set_names(&self, new: &HashSet<Arc<str>>) {
        let mut names = self.names.write();
        names.retain(|name, _| {
            let stays = new.contains(name);
            if !stays {
                self.counters.remove(name);
            }
            stays
        });
        for name in new {
            names
                .entry(Arc::clone(name))
                .or_insert_with(|| self.counters.of(name));
        }
    }

    /// Returns the metrics of the caller with this name.
    pub(crate) fn get(&self, name: &str) -> Option<CallerMetrics> {
        self.names.read().get(name).cloned()
    }
}

impl Counters {
    fn of(&self, name: &str) -> CallerMetrics {
        let counter = |counters: &IntCounterVec| counters.with_label_values(&[name]);
        CallerMetrics {
            batches: counter(&self.batches),
            fetches: counter(&self.fetches),
            body_bytes: counter(&self.body_bytes),
            refused: counter(&self.refused),
        }
    }

    fn remove(&self, name: &str) {
        for counters in [
            &self.batches,
            &self.fetches,
            &self.body_bytes,
            &self.refused,
        ] {
            // It only fails if there's no such label.
            let _ = counters.remove_label_values(&[name]);
        }
    }
}
