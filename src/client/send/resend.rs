//! Decides if we may send a request again. No other code does.

use std::sync::Arc;

use crate::client::{
    failure::Disposition,
    pending::Pending,
    replicas::{Replica, Replicas},
};

/// Decides which requests we may send again after a replica failed.
pub(super) struct Resend<'a> {
    replicas: &'a Replicas,
    replica: &'a Replica,
    disposition: Disposition,
    max_losses: u32,
}

/// How often we may lose a request, at minimum (with many replicas, it's two losses for
/// each). We have to stop at some point. Otherwise a request that kills every service it
/// reaches would go on doing so forever.
const MAX_LOSSES: u32 = 6;

impl<'a> Resend<'a> {
    /// Records the failure at `replica`, then returns the rule for the requests it had.
    pub(super) fn after(
        replicas: &'a Replicas,
        replica: &'a Arc<Replica>,
        disposition: Disposition,
    ) -> Self {
        replica.record_failure(disposition);
        let disposition = match disposition {
            Disposition::Foreign if replicas.are_all_foreign() => Disposition::Final,
            other => other,
        };
        let twice_each = u32::try_from(2 * replicas.count()).unwrap_or(u32::MAX);
        Self {
            replicas,
            replica,
            disposition,
            max_losses: twice_each.max(MAX_LOSSES),
        }
    }

    /// Returns true if we may send `pending` again.
    ///
    /// We always may if the call was `Unsent` or `NotDispatched`. If the replica refused
    /// the call, there has to be another replica that hasn't failed the request yet. If
    /// the request may have been dispatched, it has to be idempotent. Apart from the
    /// first case, every failure counts as a loss, and we stop if there are too many.
    ///
    /// Either way, the request avoids this replica from now on.
    pub(super) fn allows(&self, pending: &mut Pending) -> bool {
        pending.avoid(self.replica.name());
        match self.disposition {
            Disposition::Final => false,
            Disposition::Unsent | Disposition::NotDispatched { .. } => true,
            Disposition::Refused => self.has_untried(pending) && self.counts_loss(pending),
            Disposition::Foreign => self.counts_loss(pending),
            Disposition::Lost => pending.is_idempotent() && self.counts_loss(pending),
        }
    }

    /// Returns true if there's a replica that hasn't failed this request yet.
    fn has_untried(&self, pending: &Pending) -> bool {
        let all = self.replicas.all();
        all.iter().any(|replica| !pending.avoids(replica.name()))
    }

    /// Counts a loss. Returns true if the request is still below the limit.
    fn counts_loss(&self, pending: &mut Pending) -> bool {
        pending.count_loss() < self.max_losses
    }
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::*;
    use crate::client::Builder;

    fn one_replica() -> (Replicas, Arc<Replica>) {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let replicas = Replicas::only(channel, Builder::default());
        let replica = replicas.all().remove(0);
        (replicas, replica)
    }

    const NOT_DISPATCHED: Disposition = Disposition::NotDispatched { retry_after: None };

    #[tokio::test]
    async fn post_is_sent_again_only_if_it_was_not_dispatched() {
        let (replicas, replica) = one_replica();
        let may = |disposition, method| {
            Resend::after(&replicas, &replica, disposition)
                .allows(&mut Pending::with_method(method))
        };
        for disposition in [Disposition::Unsent, NOT_DISPATCHED] {
            assert!(
                may(disposition, "GET") && may(disposition, "POST"),
                "{disposition:?}"
            );
        }
        assert!(may(Disposition::Lost, "GET") && !may(Disposition::Lost, "POST"));
        assert!(!may(Disposition::Final, "GET"));
    }

    #[tokio::test]
    async fn losses_of_a_request_are_limited() {
        let (replicas, replica) = one_replica();
        let mut pending = Pending::with_method("GET");
        let mut allows =
            |disposition| Resend::after(&replicas, &replica, disposition).allows(&mut pending);
        let resent = (0..100).take_while(|_| allows(Disposition::Lost)).count();
        assert_eq!(resent, 5);
        // Failed connects don't count as losses. They're limited by the outage alone.
        assert!(allows(NOT_DISPATCHED));
    }
}
