//! Keeps an eye on the replicas while a list or a request is running.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use super::{
    Replica, Replicas,
    outage::{OutageTracker, SharedOutage},
    sleep_until,
};
use crate::client::{Error, failure::Failure};

/// Keeps an eye on the replicas while a list or a request is running. It looks up their
/// names, probes the ejected ones, and measures how long none of them has answered.
pub(crate) struct Monitor {
    replicas: Arc<Replicas>,
    /// The probes we've started. If we're dropped before they end, other monitors may
    /// start theirs.
    probes: FuturesUnordered<BoxFuture<'static, Result<(), Failure>>>,
    /// Notified when any probe ends, including those of other monitors.
    probe_ended: watch::Receiver<()>,
    /// Looks up the names at this time.
    refresh: BoxFuture<'static, ()>,
    refresh_due: Option<Instant>,
    outage: OutageTracker,
    /// Set once the outage has lasted too long. Cleared when a replica is admitted
    /// again.
    unavailable: Option<Error>,
}

impl Monitor {
    /// Creates a monitor. It reports outages in `shared`.
    pub(crate) fn new(replicas: Arc<Replicas>, shared: SharedOutage) -> Self {
        let refresh_due = replicas.refresh_due();
        Self {
            probes: FuturesUnordered::new(),
            probe_ended: replicas.probe_ended.subscribe(),
            refresh: refresh_at(refresh_due, Arc::clone(&replicas)),
            refresh_due,
            outage: OutageTracker::new(replicas.builder.give_up_after, shared),
            unavailable: None,
            replicas,
        }
    }

    pub(crate) fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// Starts all probes that are due.
    ///
    /// Pass true as `is_idle` if no request is waiting for a replica. In this case an
    /// outage doesn't hurt anyone, so we don't measure it. Note that any probe that ends
    /// after this call wakes up the next [`Monitor::changed`].
    pub(crate) fn begin_turn(&mut self, is_idle: bool) {
        self.probe_ended.mark_unchanged();
        if self.refresh_due != self.replicas.refresh_due() {
            self.schedule_refresh();
        }
        let due = self.replicas.due_probes();
        self.probes
            .extend(due.into_iter().map(|probe| probe.run().boxed()));
        if is_idle {
            self.outage.reset();
        }
        if self.unavailable.is_some() {
            self.check_availability();
        }
    }

    /// Starts the outage if no replica is admitted, even if it wasn't a call of ours that
    /// failed. Call this before you wait for a replica. Otherwise a list that starts during
    /// an outage might never give up, since it's usually another monitor that runs the
    /// probes.
    pub(crate) fn note_outage(&mut self) {
        let has_begun = self.unavailable.is_some() || self.outage.end().is_some();
        if has_begun || self.replicas.has_admitted() {
            return;
        }
        let last = self.replicas.last_failure.lock().clone();
        let last = last
            .unwrap_or_else(|| Failure::lost(Error::service_lost("no replica could be reached")));
        self.outage.record_failure(&last, || self.replicas.names());
    }

    /// Waits until something may have changed: a replica was admitted, ejected, added or
    /// removed, or a probe is due. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            biased;
            () = &mut self.refresh => self.schedule_refresh(),
            Some(result) = self.probes.next(), if !self.probes.is_empty() => {
                self.record_probe(result);
            }
            () = sleep_until(self.replicas.probe_due()) => {}
            Ok(()) = self.probe_ended.changed() => {
                if self.replicas.has_admitted() {
                    self.outage.record_probe_answer();
                }
            }
        }
    }

    /// Waits until at least one replica is admitted, and returns all that are.
    ///
    /// # Errors
    ///
    /// Fails if the outage has lasted too long.
    pub(crate) async fn admitted(&mut self) -> Result<Vec<Arc<Replica>>, Error> {
        self.replicas.refresh().await;
        let admitted = self.replicas.admitted();
        if !admitted.is_empty() {
            return Ok(admitted);
        }
        loop {
            self.begin_turn(false);
            let admitted = self.replicas.admitted();
            if !admitted.is_empty() {
                self.probes.clear();
                return Ok(admitted);
            }
            self.note_outage();
            let outage_end = self.outage.end();
            tokio::select! {
                () = self.changed() => {}
                () = sleep_until(outage_end) => return Err(self.outage_error()),
            }
        }
    }

    /// Records that a replica answered a call. This ends the outage.
    pub(crate) fn record_answer(&mut self) {
        self.outage.reset();
    }

    pub(crate) fn record_failure(&mut self, failure: &Failure) {
        *self.replicas.last_failure.lock() = Some(failure.clone());
        self.outage
            .record_failure(failure, || self.replicas.names());
    }

    /// Waits until the outage has lasted too long.
    pub(crate) fn outage_end(&self) -> impl Future<Output = ()> + use<> {
        sleep_until(self.outage.end())
    }

    /// Gives up. Until a replica is admitted again, all requests get the error we return
    /// here.
    pub(crate) fn give_up(&mut self) -> Error {
        let error = self.outage_error();
        self.outage.reset();
        self.unavailable = Some(error.clone());
        error
    }

    /// If we've given up, returns the error for all requests.
    pub(crate) fn unavailable(&self) -> Option<&Error> {
        self.unavailable.as_ref()
    }

    /// Polls the probes, without waiting for them. We need this after we've given up:
    /// all requests fail at once then, so we may never get to [`Monitor::changed`],
    /// which normally polls them.
    fn check_availability(&mut self) {
        while let Some(Some(result)) = self.probes.next().now_or_never() {
            self.record_probe(result);
        }
        if self.replicas.has_admitted() {
            self.unavailable = None;
        }
    }

    fn schedule_refresh(&mut self) {
        self.refresh_due = self.replicas.refresh_due();
        self.refresh = refresh_at(self.refresh_due, Arc::clone(&self.replicas));
    }

    fn record_probe(&mut self, result: Result<(), Failure>) {
        match result {
            Ok(()) => self.outage.record_probe_answer(),
            Err(failure) => self.record_failure(&failure),
        }
    }

    fn outage_error(&self) -> Error {
        self.outage.error(&self.replicas.names())
    }
}

/// Looks up the names once it's `due`.
fn refresh_at(due: Option<Instant>, replicas: Arc<Replicas>) -> BoxFuture<'static, ()> {
    async move {
        sleep_until(due).await;
        replicas.refresh().await;
    }
    .boxed()
}
