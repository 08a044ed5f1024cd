//! The rule for sending a request again, after the call that it was in failed.

use std::sync::Arc;

use super::{endpoint::Endpoint, endpoints::Endpoints, failure::Meaning, item::Item};

/// What may be done with the requests of a call that failed.
pub(super) struct Resend<'a> {
    endpoints: &'a Endpoints,
    endpoint: &'a Endpoint,
    meaning: Meaning,
    /// How often a request may be lost.
    most: u32,
}

/// How often a request may be lost, at least: one that kills each service that it
/// reaches is not sent for ever.
const MAX_LOSSES: u32 = 6;

impl<'a> Resend<'a> {
    /// Notes that a call at `endpoint` failed, and what follows for its requests.
    pub(super) fn after(
        endpoints: &'a Endpoints,
        endpoint: &'a Arc<Endpoint>,
        meaning: Meaning,
    ) -> Self {
        endpoint.failed(meaning);
        let meaning = match meaning {
            // There is no other to ask.
            Meaning::Foreign if endpoints.are_all_foreign() => Meaning::Final,
            meaning => meaning,
        };
        let twice_each = u32::try_from(2 * endpoints.count()).unwrap_or(u32::MAX);
        Self {
            endpoints,
            endpoint,
            meaning,
            most: twice_each.max(MAX_LOSSES),
        }
    }

    /// Returns true if `item` may be sent again: nothing was dispatched, or it is
    /// idempotent and was not lost too often. It then goes to another replica, if
    /// there is one.
    pub(super) fn allows(&self, item: &mut Item) -> bool {
        item.avoid(self.endpoint.name());
        match self.meaning {
            Meaning::Final => false,
            Meaning::Refused => {
                let known = self.endpoints.known();
                let is_untried = known.iter().any(|endpoint| !item.avoids(endpoint.name()));
                is_untried && item.count_loss() < self.most
            }
            Meaning::Unsent | Meaning::NotDispatched(_) => true,
            Meaning::Foreign => item.count_loss() < self.most,
            Meaning::Lost => item.is_idempotent() && item.count_loss() < self.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint as Transport;

    use super::{super::Builder, *};
    use crate::proto::FetchRequest;

    fn item(method: &str) -> Item {
        let method = method.to_owned();
        Item::new(
            0,
            FetchRequest {
                method,
                ..FetchRequest::default()
            },
        )
    }

    #[tokio::test]
    async fn a_post_is_sent_again_only_if_it_was_not_dispatched() {
        let channel = Transport::from_static("http://127.0.0.1:1").connect_lazy();
        let endpoints = Endpoints::only(channel, Builder::default());
        let endpoint = endpoints.known().remove(0);
        let may = |meaning, method| {
            Resend::after(&endpoints, &endpoint, meaning).allows(&mut item(method))
        };
        for meaning in [Meaning::Unsent, Meaning::NotDispatched(None)] {
            assert!(may(meaning, "GET") && may(meaning, "POST"), "{meaning:?}");
        }
        assert!(may(Meaning::Lost, "GET") && !may(Meaning::Lost, "POST"));
        assert!(!may(Meaning::Final, "GET"));
    }

    #[tokio::test]
    async fn a_request_is_not_lost_for_ever() {
        let channel = Transport::from_static("http://127.0.0.1:1").connect_lazy();
        let endpoints = Endpoints::only(channel, Builder::default());
        let endpoint = endpoints.known().remove(0);
        let mut item = item("GET");
        let mut allows = |meaning| Resend::after(&endpoints, &endpoint, meaning).allows(&mut item);
        let lost = (0..100).take_while(|_| allows(Meaning::Lost)).count();
        assert_eq!(lost, 5);
        // Refused connects are bounded by time alone.
        assert!(allows(Meaning::NotDispatched(None)));
    }
}
