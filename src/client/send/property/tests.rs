//! Random tests of the property, with parts that have nothing to do with each other.

use proptest::prelude::*;

use super::*;
use crate::proto::{FetchError, Header};

fn head() -> impl Strategy<Value = ResponseHead> {
    let name = prop_oneof![9 => Just("x"), 1 => Just("not a name")];
    let status = prop_oneof![9 => 100..1000_u32, 1 => any::<u32>()];
    (name, status).prop_map(|(name, status)| ResponseHead {
        status,
        headers: vec![Header {
            name: name.to_owned(),
            value: "y".into(),
        }],
        url: "http://a.test/".to_owned(),
        version: 0,
    })
}

fn end() -> impl Strategy<Value = FetchEnd> {
    (any::<bool>(), 0..4_u64).prop_map(|(fails, body_bytes)| FetchEnd {
        error: fails.then(FetchError::default),
        body_bytes,
        ..FetchEnd::default()
    })
}

fn part() -> impl Strategy<Value = ResultPart> {
    let body = prop::collection::vec(any::<u8>(), 0..2);
    let (head, end) = (prop::option::of(head()), prop::option::of(end()));
    (0..4_u32, head, body, end).prop_map(|(index, head, body, end)| ResultPart {
        index,
        head,
        body: body.into(),
        end,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn each_request_gets_its_own_parts_or_an_error_whatever_arrives(
        count in 0..4_usize,
        parts in prop::collection::vec(part(), 0..6),
        per_message in 1..4_usize,
    ) {
        each_request_gets_its_own_parts_or_an_error(count, &parts, per_message);
    }
}
