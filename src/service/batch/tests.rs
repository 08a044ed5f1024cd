//! Tests for reading batches.

use futures_util::FutureExt;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::proto::{FetchBatchRequest, FetchOptions, FetchRequest, Header};

async fn read_batch(message: Vec<u8>) -> Result<Batch, InvalidBatch> {
    let config = Arc::new(Config::default());
    read(message.into(), &CallContext::local(), &config).await
}

fn request() -> impl Strategy<Value = FetchRequest> {
    let header = ("[a-z]{1,9}", prop::collection::vec(b' '..b'~', 0..9));
    let options = prop::option::of((1..20_u32, 0..99_u64));
    (
        "[a-z]{1,9}",
        prop::option::of("[A-Z]{1,4}"),
        prop::collection::vec(header, 0..4),
        prop::collection::vec(any::<u8>(), 0..20),
        options,
    )
        .prop_map(|(path, method, headers, body, options)| FetchRequest {
            url: format!("http://a.test/{path}"),
            method: method.unwrap_or_default(),
            headers: headers
                .into_iter()
                .map(|(name, value)| Header {
                    name: format!("x-{name}"),
                    value: value.into(),
                })
                .collect(),
            body: body.into(),
            options: options.map(|(attempts, bytes)| FetchOptions {
                max_attempts: Some(attempts),
                max_body_bytes: Some(bytes),
                ..FetchOptions::default()
            }),
        })
}

proptest! {
    #[test]
    fn requests_are_decoded_as_they_were_encoded(
        requests in prop::collection::vec(request(), 0..5),
        concurrency in 0..600_u32,
    ) {
        let message = FetchBatchRequest {
            requests: requests.clone(),
            concurrency,
            ..FetchBatchRequest::default()
        };
        let read = read_batch(message.encode_to_vec()).now_or_never();
        let batch = read.unwrap().unwrap();
        let expected = if concurrency == 0 { 50 } else { concurrency.min(512) };
        prop_assert_eq!(batch.concurrency, expected as usize);
        prop_assert_eq!(batch.requests.count() as usize, requests.len());
        for (expected, request) in requests.iter().zip(batch.requests.sendable()) {
            let request = batch.requests.decode(request).unwrap();
            prop_assert_eq!(&request.uri.to_string(), &expected.url);
            prop_assert_eq!(&request.body, &expected.body);
            let method = if expected.method.is_empty() { "GET" } else { &expected.method };
            prop_assert_eq!(request.method.as_str(), method);
            prop_assert_eq!(request.headers.len(), expected.headers.len());
            for header in &expected.headers {
                let mut values = request.headers.get_all(&header.name).iter();
                prop_assert!(values.any(|value| value.as_bytes() == header.value));
            }
            let own = expected.options.unwrap_or_default();
            let attempts = own.max_attempts.unwrap_or(3).min(10);
            prop_assert_eq!(request.options.max_attempts, attempts);
        }
    }

    #[test]
    fn message_is_accepted_if_prost_accepts_it(
        mut bytes in prop::collection::vec(prop_oneof![0..0x30_u8, any::<u8>()], 0..40),
        is_request in any::<bool>(),
    ) {
        if is_request {
            bytes.splice(0..0, [0x0a, u8::try_from(bytes.len()).unwrap()]);
        }
        let is_expected = FetchBatchRequest::decode(&bytes[..]).is_ok();
        let read = read_batch(bytes).now_or_never().unwrap();
        let is_accepted = !matches!(read, Err(InvalidBatch::Malformed(_)));
        prop_assert_eq!(is_accepted, is_expected);
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
