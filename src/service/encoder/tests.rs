//! Tests for the response encoder.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{
    response::{End, Headers, Phases, Timing},
    service::convert::duration,
};

/// Converts `part` to the prost struct.
fn expected(part: &Part) -> proto::ResultPart {
    let head = part.head.as_ref().map(|head| proto::ResponseHead {
        status: head.status.as_u16().into(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| proto::Header {
                name: String::from_utf8(name.to_vec()).unwrap(),
                value: Bytes::copy_from_slice(value),
            })
            .collect(),
        url: head.url.to_string(),
        version: version(head.version),
    });
    let end = part.end.as_ref().map(|end| proto::FetchEnd {
        attempts: end.attempts,
        body_bytes: end.body_bytes,
        timing: Some(proto::Timing {
            queued: Some(duration(end.timing.queued)),
            dns: end.timing.phases.dns.map(duration),
            connection_reused: end.timing.phases.is_reused,
            ..proto::Timing::default()
        }),
        ..proto::FetchEnd::default()
    });
    proto::ResultPart {
        index: part.index,
        head,
        body: part.body.clone(),
        end,
    }
}

fn head() -> impl Strategy<Value = Head> {
    let line = (
        "[a-z0-9-]{1,20}",
        prop::collection::vec(any::<u8>(), 0..300),
    );
    let lines = prop::collection::vec(line, 0..5);
    (100..1000_u16, lines, "[a-z]{1,20}").prop_map(|(status, lines, host)| {
        let mut headers = Headers::default();
        for (name, value) in lines {
            headers.push(name, value);
        }
        Head {
            status: status.try_into().unwrap(),
            headers,
            url: format!("https://{host}:81/a?b={host}").parse().unwrap(),
            version: Version::HTTP_11,
        }
    })
}

fn end() -> impl Strategy<Value = End> {
    (any::<u32>(), any::<u64>(), any::<u32>(), any::<bool>()).prop_map(
        |(attempts, body_bytes, nanos, is_reused)| End {
            error: None,
            attempts,
            redirects: 0,
            body_bytes,
            truncated: false,
            timing: Timing {
                queued: Duration::from_nanos(nanos.into()),
                phases: Phases {
                    dns: is_reused.then_some(Duration::ZERO),
                    is_reused,
                    ..Phases::default()
                },
                ..Timing::default()
            },
        },
    )
}

fn part() -> impl Strategy<Value = Part> {
    let body = prop_oneof![0..200_usize, 16_000..17_000_usize];
    let (head, end) = (prop::option::of(head()), prop::option::of(end()));
    (0..300_u32, head, body, end).prop_map(|(index, head, body, end)| Part {
        index,
        head,
        body: vec![7; body].into(),
        end,
    })
}

proptest! {
    #[test]
    fn message_is_encoded_as_prost_encodes_it(parts in prop::collection::vec(part(), 0..4)) {
        let expected = proto::FetchBatchResponse {
            parts: parts.iter().map(expected).collect(),
        };
        let mut buffer = BytesMut::new();
        for part in parts.into_iter().map(SizedPart::new) {
            put_length(response::PARTS, part.length, &mut buffer);
            part.put(&mut buffer);
        }
        prop_assert_eq!(&buffer[..], &expected.encode_to_vec()[..]);
    }
}
