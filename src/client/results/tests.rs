//! Property tests: no matter what a service sends, and in which order, each request ends
//! up with the right result or with a clear error.

#![allow(clippy::cast_possible_truncation)]

use std::collections::VecDeque;

use futures_util::{FutureExt, stream};
use proptest::prelude::*;

use super::*;
use crate::{
    client::{
        Error,
        send::property::{each_request_gets_its_own_parts_or_an_error, outcomes},
    },
    proto::{self, FetchEnd, Header, Reason, ResponseHead, ResultPart},
};

/// The plan for one request: its body pieces (if it gets a head at all), and whether it
/// ends with an error.
#[derive(Debug, Clone)]
struct Planned {
    body: Option<Vec<Vec<u8>>>,
    fails: bool,
}

fn planned() -> impl Strategy<Value = Planned> {
    let pieces = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 1..5);
    let planned = (prop::option::weighted(0.8, pieces), any::<bool>());
    planned.prop_map(|(body, fails)| Planned {
        fails: fails || body.is_none(),
        body,
    })
}

/// Generates batches. For each, this returns the parts in random order and how many of
/// them to put in a message.
fn batches() -> impl Strategy<Value = (Vec<Planned>, Vec<ResultPart>, usize)> {
    let batch = prop::collection::vec(planned(), 0..8);
    (batch, any::<prop::sample::Index>(), 1..6_usize).prop_perturb(
        |(batch, _, per_message), mut random| {
            let mut waiting: Vec<VecDeque<_>> = batch.iter().enumerate().map(parts).collect();
            let mut order = Vec::new();
            while waiting.iter().any(|parts| !parts.is_empty()) {
                let chosen = random.random_range(0..waiting.len());
                order.extend(waiting[chosen].pop_front());
            }
            (batch, order, per_message)
        },
    )
}

/// Returns the parts of a single result, in order.
fn parts((index, planned): (usize, &Planned)) -> VecDeque<ResultPart> {
    let pieces = planned.body.clone().unwrap_or_else(|| vec![Vec::new()]);
    let total: usize = pieces.iter().map(Vec::len).sum();
    let last = pieces.len() - 1;
    let parts = pieces
        .into_iter()
        .enumerate()
        .map(|(piece, body)| ResultPart {
            index: index as u32,
            head: (piece == 0 && planned.body.is_some()).then(|| ResponseHead {
                status: 200,
                headers: vec![Header {
                    name: "x".to_owned(),
                    value: index.to_string().into(),
                }],
                url: format!("http://example.com/{index}"),
                version: 0,
            }),
            body: body.into(),
            end: (piece == last).then(|| FetchEnd {
                error: planned.fails.then(|| proto::FetchError {
                    reason: Reason::Disconnected.into(),
                    message: index.to_string(),
                    retryable: true,
                }),
                attempts: 1 + index as u32,
                body_bytes: total as u64,
                ..FetchEnd::default()
            }),
        });
    parts.collect()
}

/// Runs the client on these parts. Returns the outcomes twice: as they arrive, and in
/// order.
fn received(
    count: usize,
    parts: &[ResultPart],
    per_message: usize,
) -> (Vec<Outcome>, Vec<Outcome>) {
    let arrived = outcomes(0..count, parts, per_message);
    let outcomes = Outcomes::from_stream(stream::iter(arrived.clone()).boxed());
    let ordered = InOrder::new(outcomes).collect().now_or_never();
    (arrived, ordered.expect("all outcomes are ready"))
}

/// Checks that each request has exactly one outcome and that `ordered` really is in
/// order.
fn assert_one_each(count: usize, arrived: &[Outcome], ordered: &[Outcome]) {
    let mut indices: Vec<_> = arrived.iter().map(|outcome| outcome.index).collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..count));
    assert!(ordered.iter().map(|outcome| outcome.index).eq(0..count));
}

fn is_as_planned(outcome: &Outcome, planned: &Planned) -> bool {
    let body = planned.body.as_ref().map(|pieces| pieces.concat());
    let response = outcome.response.as_ref();
    response.map(|response| response.body.to_vec()) == body
        && response.is_none_or(|response| response.headers["x"] == outcome.index.to_string())
        && outcome.stats.attempts == 1 + outcome.index as u32
        && match &outcome.error {
            Some(Error::Fetch { message, .. }) => {
                planned.fails && *message == outcome.index.to_string()
            }
            Some(_) => false,
            None => !planned.fails,
        }
}

fn is_broken_contract(outcome: &Outcome) -> bool {
    matches!(outcome.error, Some(Error::Contract { .. })) && outcome.response.is_none()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        // We need many rejects here because some faults can't be applied to some
        // batches.
        max_global_rejects: 100_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn parts_in_any_order_give_the_results((batch, parts, per_message) in batches()) {
        each_request_gets_its_own_parts_or_an_error(batch.len(), &parts, per_message);
        let (arrived, ordered) = received(batch.len(), &parts, per_message);
        assert_one_each(batch.len(), &arrived, &ordered);
        for (outcome, planned) in ordered.iter().zip(&batch) {
            prop_assert!(is_as_planned(outcome, planned), "{outcome:?}");
        }
    }

    #[test]
    fn broken_contract_is_reported_and_no_result_is_wrong(
        (batch, mut parts, per_message) in batches(),
        fault in 0..7,
        place in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!parts.is_empty());
        let place = place.index(parts.len());
        let index = parts[place].index;
        let mut own = (0..parts.len()).filter(|part| parts[*part].index == index);
        let first = own.next().expect("the chosen part is among them");
        let last = own.next_back().unwrap_or(first);
        let ends_after = parts[last + 1..].iter().filter(|part| part.end.is_some()).count();
        match fault {
            // The end is missing.
            0 => parts[last].end = None,
            // There's a second end.
            1 => parts.insert(last + 1, parts[last].clone()),
            // A part arrives after the end.
            2 => {
                let late = ResultPart { index, body: "late".into(), ..ResultPart::default() };
                parts.insert(last + 1, late);
            }
            // An index is out of range.
            3 => parts[place].index = batch.len() as u32,
            // A body arrives before its head.
            4 => {
                parts.insert(first, ResultPart { index, body: "early".into(), ..ResultPart::default() });
            }
            // There's a second head.
            5 => {
                prop_assume!(parts[first].head.is_some() && parts[first].end.is_none());
                let head = parts[first].head.clone();
                parts.insert(first + 1, ResultPart { index, head, ..ResultPart::default() });
            }
            // The end reports a wrong body size.
            _ => {
                prop_assume!(parts[first].head.is_some());
                parts[last].end.as_mut().expect("the last part has the end").body_bytes += 1;
            }
        }
        each_request_gets_its_own_parts_or_an_error(batch.len(), &parts, per_message);
        let (arrived, ordered) = received(batch.len(), &parts, per_message);
        assert_one_each(batch.len(), &arrived, &ordered);
        // Results that arrived before the fault are fine. All others must be reported as
        // missing.
        for outcome in &ordered {
            let planned = &batch[outcome.index];
            prop_assert!(is_as_planned(outcome, planned) || is_broken_contract(outcome), "{outcome:?}");
        }
        let is_noticed = ordered.iter().any(is_broken_contract);
        // By then every request has ended, so a fault after that can't do any harm.
        let is_harmless = matches!(fault, 1 | 2) && ends_after == 0;
        prop_assert_eq!(is_noticed, !is_harmless, "fault {}", fault);
    }
}
