//! Tests for reading batches.

use std::pin::pin;

use futures_util::FutureExt;
use proptest::prelude::*;
use prost::Message as _;

use super::{super::batch_message::PER_REQUEST, property::message_is_read_as_prost_decodes_it, *};
use crate::proto::{FetchBatchRequest, FetchOptions, FetchRequest, Header};

async fn read_batch(message: Vec<u8>) -> Result<Batch, InvalidBatch> {
    let config = Arc::new(Config::default());
    read(message.into(), &CallContext::local(), &config).await
}

fn request() -> impl Strategy<Value = FetchRequest> {
    let header = ("[a-z]{1,9}", prop::collection::vec(b' '..b'~', 0..9));
    (
        prop_oneof![4 => "http://a\\.test/[a-z]{1,9}", 1 => "[ -~]{0,9}"],
        prop::option::of("[A-Z]{1,4}"),
        prop::collection::vec(header, 0..4),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::option::of(options()),
    )
        .prop_map(|(url, method, headers, body, options)| FetchRequest {
            url,
            method: method.unwrap_or_default(),
            headers: headers
                .into_iter()
                .map(|(name, value)| Header {
                    name: format!("x-{name}"),
                    value: value.into(),
                })
                .collect(),
            body: body.into(),
            options,
        })
}

/// Generates options, most of which are valid.
fn options() -> impl Strategy<Value = FetchOptions> {
    let duration = (-1..1000_i64, 0..1_000_000_001_i32);
    let duration = duration.prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
    (
        prop::option::of(duration),
        prop::option::of(0..30_u32),
        prop::option::of(any::<u64>()),
        prop_oneof![9 => 0..3, 1 => any::<i32>()],
        prop::option::of(0..20_u32),
    )
        .prop_map(
            |(timeout, max_redirects, max_body_bytes, body_overflow, max_attempts)| FetchOptions {
                timeout,
                idle_timeout: None,
                connect_timeout: timeout,
                max_redirects,
                max_body_bytes,
                body_overflow,
                max_attempts,
            },
        )
}

proptest! {
    #[test]
    fn requests_are_read_as_prost_decodes_them(
        requests in prop::collection::vec(request(), 0..5),
        options in prop::option::of(options()),
        concurrency in 0..600_u32,
    ) {
        let message = FetchBatchRequest {
            requests,
            options,
            concurrency,
            ..FetchBatchRequest::default()
        };
        message_is_read_as_prost_decodes_it(&message.encode_to_vec());
    }

    #[test]
    fn fields_that_appear_twice_are_merged_as_prost_merges_them(
        (first, second) in (request(), request()),
        (batch_first, batch_second) in (options(), options()),
    ) {
        let request = [first.encode_to_vec(), second.encode_to_vec()].concat();
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(request.len() as u64, &mut message);
        message.extend(request);
        for options in [batch_first, batch_second] {
            let options = Some(options);
            let settings = FetchBatchRequest { options, ..FetchBatchRequest::default() };
            message.extend(settings.encode_to_vec());
        }
        message_is_read_as_prost_decodes_it(&message);
    }

    #[test]
    fn damaged_requests_are_read_as_prost_decodes_them(
        requests in prop::collection::vec(request(), 1..3),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let message = FetchBatchRequest {
            requests,
            ..FetchBatchRequest::default()
        };
        let mut bytes = message.encode_to_vec();
        *place.get_mut(&mut bytes) = byte;
        message_is_read_as_prost_decodes_it(&bytes);
    }

    #[test]
    fn any_bytes_are_read_as_prost_decodes_them(
        mut bytes in prop::collection::vec(prop_oneof![0..0x30_u8, any::<u8>()], 0..40),
        is_request in any::<bool>(),
    ) {
        if is_request {
            bytes.splice(0..0, [0x0a, u8::try_from(bytes.len()).unwrap()]);
        }
        message_is_read_as_prost_decodes_it(&bytes);
    }
}

#[tokio::test]
async fn header_lines_are_counted_before_they_are_decoded() {
    let lines = b"\x1a\0".repeat(100_000);
    let request = [&b"\x0a\x0ehttp://a.test/"[..], &lines].concat();
    let mut message = vec![0x0a];
    prost::encoding::encode_varint(request.len() as u64, &mut message);
    let batch = read_batch([message, request].concat()).await.unwrap();
    let (_, error) = batch.requests.refused().next().unwrap();
    assert_eq!(error.field, "headers");
    assert!(error.problem.contains("at most 1000 lines"), "{error}");
}

#[test]
fn positions_take_the_memory_that_is_reserved_for_them() {
    let count = 10_000;
    for request in [&b"\x0a\0"[..], b"\x0a\x0b\x0a\x09http://a/"] {
        let message = request.repeat(count);
        let mut batch = None;
        let allocated = allocation_counter::measure(|| {
            let mut reading = pin!(read_batch(message));
            batch = (0..count).find_map(|_| reading.as_mut().now_or_never());
        });
        assert_eq!(batch.unwrap().unwrap().requests.count() as usize, count);
        // The rest is the configuration and the context of the call.
        let max = (PER_REQUEST * count + 4096) as u64;
        assert!(
            allocated.bytes_current <= max.cast_signed(),
            "{allocated:?}"
        );
        // Vectors double their capacity while they grow.
        assert!(allocated.bytes_max <= 2 * max, "{allocated:?}");
    }
}
