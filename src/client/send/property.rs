//! A property that must hold no matter which parts a service sends, and in which order.
//!
//! Both the random tests and the fuzzer check it. The rules of the contract are repeated
//! here in a different form on purpose: this way a mistake in [`Call`] or its assembly
//! gets noticed.

#[cfg(test)]
mod tests;

use std::{iter, ops::Range, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};

use super::{
    buffer::OutcomeBuffer,
    call::{Call, CallEvent, Responses},
};
use crate::{
    client::{Error, FetchStats, Outcome, Response, pending::Pending},
    proto::{FetchBatchResponse, FetchEnd, FetchRequest, ResponseHead, ResultPart},
};

/// The number of slots of each call.
const SLOTS: usize = 3;

/// The position of a call's first request in its list, so that positions differ from
/// indices.
const FIRST: usize = 100;

/// Passes `parts` to a call with `count` requests, `per_message` of them at once.
///
/// Panics unless each request gets exactly one outcome: the result that consists of its
/// own parts if all of them keep the contract, and an error otherwise.
pub fn each_request_gets_its_own_parts_or_an_error(
    count: usize,
    parts: &[ResultPart],
    per_message: usize,
) {
    let broken = (0..parts.len())
        .find(|position| breaks_contract(&parts[..*position], &parts[*position], count));
    let kept = &parts[..broken.unwrap_or(parts.len())];
    let mut outcomes = outcomes(FIRST..FIRST + count, parts, per_message);
    outcomes.sort_by_key(|outcome| outcome.index);
    let positions = outcomes.iter().map(|outcome| outcome.index);
    assert!(positions.eq(FIRST..FIRST + count), "{outcomes:?}");
    for (index, outcome) in (0..).zip(&outcomes) {
        let own: Vec<_> = kept.iter().filter(|part| part.index == index).collect();
        match own.last().and_then(|last| last.end.as_ref()) {
            Some(end) => assert_consists_of(outcome, &own, end),
            None => assert_is_missing(outcome, broken.is_some()),
        }
    }
}

/// Runs a call for the requests at `positions`, and returns the outcomes as they arrive.
///
/// Panics if a request has no outcome, or if a slot isn't freed exactly once.
pub(in crate::client) fn outcomes(
    positions: Range<usize>,
    parts: &[ResultPart],
    per_message: usize,
) -> Vec<Outcome> {
    let messages = parts.chunks(per_message.max(1)).map(<[_]>::to_vec);
    let messages: Vec<_> = messages
        .map(|parts| Ok(FetchBatchResponse { parts }))
        .collect();
    let responses = Responses::open(stream::iter(messages).boxed());
    let mut buffer = OutcomeBuffer::default();
    positions.clone().for_each(|position| buffer.open(position));
    let slots = SLOTS.min(positions.len());
    let requests = positions.map(|position| Pending::new(position, FetchRequest::default()));
    let call = Call::new(requests.collect(), slots, responses, Duration::from_secs(1));
    let events: Vec<_> = call
        .events()
        .collect()
        .now_or_never()
        .expect("all messages are ready");
    let mut freed = 0;
    for event in events {
        match event {
            CallEvent::Alive => {}
            CallEvent::Outcome {
                pending,
                outcome,
                frees_slot,
            } => {
                assert_eq!(pending.position, outcome.index);
                freed += usize::from(frees_slot);
                buffer.finish(*outcome);
            }
            CallEvent::Ended {
                lost,
                slots,
                failure,
            } => {
                freed += slots;
                for pending in lost {
                    let failure = failure.clone();
                    let error = failure.expect("a call loses requests if it fails").error;
                    buffer.finish(Outcome::failed(pending.position, error));
                }
            }
        }
    }
    assert_eq!(freed, slots, "freed slots");
    assert!(buffer.is_complete(), "a request has no outcome");
    iter::from_fn(|| buffer.pop()).collect()
}

/// Returns true if `part` can't follow `earlier` parts that keep the contract.
fn breaks_contract(earlier: &[ResultPart], part: &ResultPart, count: usize) -> bool {
    let own = || earlier.iter().filter(|other| other.index == part.index);
    let is_begun = own().any(|other| other.head.is_some());
    let has_head = is_begun || part.head.is_some();
    let size: usize = own().chain([part]).map(|part| part.body.len()).sum();
    let is_head_invalid = |head: &ResponseHead| Response::from_head(head.clone()).is_err();
    let is_wrong_end = |end: &FetchEnd| {
        if has_head {
            end.body_bytes != size as u64
        } else {
            end.error.is_none()
        }
    };
    part.index as usize >= count
        || own().any(|other| other.end.is_some())
        || is_begun && part.head.is_some()
        || !has_head && size > 0
        || part.head.as_ref().is_some_and(is_head_invalid)
        || part.end.as_ref().is_some_and(is_wrong_end)
}

fn assert_consists_of(outcome: &Outcome, parts: &[&ResultPart], end: &FetchEnd) {
    let head = parts.iter().find_map(|part| part.head.as_ref());
    assert_eq!(outcome.response.is_some(), head.is_some(), "{outcome:?}");
    if let Some((response, head)) = outcome.response.as_ref().zip(head) {
        let bodies: Vec<_> = parts.iter().map(|part| &part.body[..]).collect();
        assert_eq!(response.body, bodies.concat());
        assert_eq!(u32::from(response.status.as_u16()), head.status);
        assert_eq!(response.headers.len(), head.headers.len());
        for line in &head.headers {
            let mut values = response.headers.get_all(&line.name).iter();
            assert!(values.any(|value| value.as_bytes() == line.value));
        }
    }
    match (&outcome.error, &end.error) {
        (None, None) => {}
        (
            Some(Error::Fetch {
                reason,
                message,
                retryable,
            }),
            Some(expected),
        ) => {
            assert_eq!(*reason, expected.reason());
            assert_eq!(*message, expected.message);
            assert_eq!(*retryable, expected.retryable);
        }
        (error, expected) => panic!("expected {expected:?}, got {error:?}"),
    }
    assert_eq!(outcome.stats, FetchStats::from_end(end));
}

/// Panics unless the request ended because its call did.
fn assert_is_missing(outcome: &Outcome, is_contract_broken: bool) {
    assert!(outcome.response.is_none(), "{outcome:?}");
    let Some(Error::Contract { message }) = outcome.error else {
        panic!("expected a broken contract, got {outcome:?}");
    };
    let is_missing = message == "the stream ended without an end for each request";
    assert_eq!(is_missing, !is_contract_broken, "{message}");
}
