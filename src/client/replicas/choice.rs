//! Picks a replica for a request.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::Replica;
use crate::client::pending::Pending;

/// Returns the `admitted` replicas that may get this request.
///
/// We leave out replicas that have already failed the request, unless all of them have.
/// If the request isn't idempotent, we also prefer replicas without a recent failure,
/// since we can't send it again if it gets lost.
pub(crate) fn candidates<'a>(
    admitted: &'a [Arc<Replica>],
    pending: &mut Pending,
) -> Vec<&'a Arc<Replica>> {
    let untried = admitted
        .iter()
        .filter(|replica| !pending.avoids(replica.name()));
    let mut candidates: Vec<_> = untried.collect();
    if candidates.is_empty() {
        pending.avoid_none();
        candidates.extend(admitted);
    }
    if !pending.is_idempotent() && candidates.iter().any(|replica| replica.is_proven()) {
        candidates.retain(|replica| replica.is_proven());
    }
    candidates
}

/// Returns the replica that `host` prefers.
///
/// We use rendezvous hashing here. If a replica comes or goes, hosts only move to or
/// from that replica, and all others keep theirs.
pub(crate) fn preferred<'a>(
    host: &str,
    replicas: impl Iterator<Item = &'a Arc<Replica>>,
) -> Option<&'a Arc<Replica>> {
    replicas.max_by_key(|replica| weight(host, replica.name()))
}

/// Returns how much `host` prefers the replica `name`. The host goes to the one with the
/// highest weight.
pub fn weight(host: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (host, name).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::{super::Service, *};
    use crate::client::failure::Disposition;

    fn replicas() -> [Arc<Replica>; 2] {
        ["a", "b"].map(|name| {
            let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
            Arc::new(Replica::new(
                name.to_owned(),
                0,
                Service::new(channel, None),
            ))
        })
    }

    fn names(replicas: &[Arc<Replica>], pending: &mut Pending) -> Vec<String> {
        let candidates = candidates(replicas, pending).into_iter();
        candidates
            .map(|replica| replica.name().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn request_avoids_a_replica_until_all_have_failed_it() {
        let replicas = replicas();
        let mut pending = Pending::with_method("GET");
        pending.avoid("a");
        assert_eq!(names(&replicas, &mut pending), ["b"]);
        pending.avoid("b");
        assert_eq!(names(&replicas, &mut pending), ["a", "b"]);
    }

    #[tokio::test]
    async fn post_prefers_a_replica_without_recent_failure() {
        let replicas = replicas();
        replicas[0].record_failure(Disposition::Lost);
        assert_eq!(names(&replicas, &mut Pending::with_method("POST")), ["b"]);
        assert_eq!(
            names(&replicas, &mut Pending::with_method("GET")),
            ["a", "b"]
        );
        replicas[1].record_failure(Disposition::Lost);
        assert_eq!(
            names(&replicas, &mut Pending::with_method("POST")),
            ["a", "b"]
        );
    }
}
