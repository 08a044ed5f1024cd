//! The idle connections of a fetcher, and the check of whether a connection can become
//! one.

use std::{ops::RangeInclusive, time::Duration};

use tokio::time;

use crate::{
    connect::{IdleState, Origin, OriginStream, Pool, PoolLimits, Poolable},
    http1::{Connection, Finished, Incoming},
};

/// The idle connections of a fetcher.
pub(super) struct IdleConnections(Pool<Connection<OriginStream>>);

/// How long the first response on a reused connection is held back to see whether
/// another follows. If so, the connection is out of sync, and either response may belong
/// to the request.
pub(super) const SYNC_CHECK: Duration = Duration::from_millis(1);

impl IdleConnections {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self(Pool::new(limits))
    }

    /// Takes a connection to `origin` that is suitable for the request.
    pub(super) fn take(
        &self,
        origin: &Origin,
        is_idempotent: bool,
    ) -> Option<Connection<OriginStream>> {
        if is_idempotent {
            self.0.take(origin)
        } else {
            self.0.take_proven(origin)
        }
    }

    /// Records that a reused connection to `origin` broke.
    pub(super) fn record_broken(&self, origin: &Origin) {
        self.0.record_broken(origin);
    }

    /// Stops reusing connections to `origin` for a while.
    pub(super) fn quarantine(&self, origin: &Origin) {
        self.0.quarantine(origin);
    }

    /// Closes the oldest connection. Returns false if there is none.
    pub(super) fn evict_oldest(&self) -> bool {
        self.0.evict_oldest()
    }

    /// Ends the exchange of `body`, and keeps its connection if it can carry another.
    /// Returns true if the origin sent unexpected bytes behind the response.
    pub(super) fn finish(&self, body: Incoming<OriginStream>, origin: Origin) -> bool {
        match body.finish() {
            Finished::Reusable(mut connection) => {
                if !has_unexpected_data(&mut connection) {
                    self.0.put(origin, connection);
                    return false;
                }
            }
            Finished::UnexpectedData => {}
            Finished::Closed => return false,
        }
        self.0.quarantine(&origin);
        true
    }

    /// Ends the exchange of a body that is not needed, without waiting for more of it.
    /// Returns true if the response may belong to another request.
    pub(super) async fn discard(
        &self,
        mut body: Incoming<OriginStream>,
        origin: Origin,
        is_reused: bool,
    ) -> bool {
        // The buffer holds at most the bytes of one read.
        if body.take_buffered(&mut Vec::new(), usize::MAX).is_err() {
            return false;
        }
        if needs_sync_check(&body, is_reused) && body.is_complete() {
            time::sleep(SYNC_CHECK).await;
        }
        self.finish(body, origin) && is_reused
    }
}

/// Returns true if `body` is that of the first response on a reused connection.
pub(super) fn needs_sync_check(body: &Incoming<OriginStream>, is_reused: bool) -> bool {
    is_reused && body.exchanges() == 2
}

/// Returns true if there are bytes to read right after a response. That response may
/// then belong to an earlier request.
///
/// Only checks the first exchanges on a reused connection, because the check is a system
/// call and an origin that gets out of sync usually is so from the start.
fn has_unexpected_data(connection: &mut Connection<OriginStream>) -> bool {
    const CHECKED_EXCHANGES: RangeInclusive<u32> = 2..=5;

    CHECKED_EXCHANGES.contains(&connection.exchanges())
        && connection.idle_state() == IdleState::UnexpectedData
}

impl Poolable for Connection<OriginStream> {
    fn idle_state(&mut self) -> IdleState {
        self.stream_mut().idle_state()
    }

    fn was_reused(&self) -> bool {
        self.exchanges() > 1
    }
}
