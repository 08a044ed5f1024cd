//! Idle connections, and the checks that decide whether a connection may become one.

use std::{ops::RangeInclusive, time::Duration};

use tokio::time;

use crate::{
    connect::{IdleState, Origin, OriginStream, Pool, PoolLimits, Poolable},
    http1::{Connection, Finished, Incoming},
};

/// All idle connections of a fetcher.
pub(super) struct IdleConnections(Pool<Connection<OriginStream>>);

/// When a connection is reused for the first time, we hold back the response for this
/// long to see if there's another one right behind it. If so, the connection is out of
/// sync, and we can't tell which of the two belongs to the request.
pub(super) const SYNC_CHECK: Duration = Duration::from_millis(1);

impl IdleConnections {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self(Pool::new(limits))
    }

    /// Takes a connection to `origin`. If the request isn't idempotent, it has to be a
    /// connection that's proven to be kept alive.
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

    /// For a while, don't reuse any connections to `origin`.
    pub(super) fn quarantine(&self, origin: &Origin) {
        self.0.quarantine(origin);
    }

    /// Returns how many connections there are.
    pub(super) fn count(&self) -> usize {
        self.0.count()
    }

    /// Closes the oldest connection. Returns false if there isn't any.
    pub(super) fn evict_oldest(&self) -> bool {
        self.0.evict_oldest()
    }

    /// Ends an exchange after its body was read. If possible, the connection is kept.
    /// Returns true if the origin sent something else after the response that we didn't
    /// ask for.
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

    /// Ends an exchange whose body we don't need. Doesn't wait for the rest of the body.
    /// Returns true if the response might belong to some other request.
    pub(super) async fn discard(
        &self,
        mut body: Incoming<OriginStream>,
        origin: Origin,
        is_reused: bool,
    ) -> bool {
        // Only what we read last is in the buffer, so this can't get large.
        if body.take_buffered(&mut Vec::new(), usize::MAX).is_err() {
            return false;
        }
        if needs_sync_check(&body, is_reused) && body.is_complete() {
            time::sleep(SYNC_CHECK).await;
        }
        self.finish(body, origin) && is_reused
    }
}

/// Returns true if this is the first response after the connection was reused.
pub(super) fn needs_sync_check(body: &Incoming<OriginStream>, is_reused: bool) -> bool {
    is_reused && body.exchanges() == 2
}

/// Returns true if there's something to read right after a response. If so, that response
/// might've been meant for an earlier request.
///
/// We only check the first few exchanges on a reused connection. The check is a system
/// call, and if an origin is out of sync, then usually it's been like that from the
/// start.
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
