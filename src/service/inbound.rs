//! A `FetchBatchRequest` becomes a [`Batch`]: the only validation of a batch.
//!
//! The message is checked as a whole, and stays encoded. A request is decoded when
//! it is dispatched, and again for another attempt, so that a waiting one takes no
//! more than its bytes and its place among them. A request that cannot be sent is
//! no fault of the batch; it becomes that index's end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    check::Check,
    fields::{Fields, Malformed},
};
use crate::{
    caller::Caller,
    config::Config,
    proto,
    request::{Batch, EncodedRequests, InvalidRequest, Options, Overflow, Request, Requests},
};

/// Why a call is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidBatch {
    /// A field has a value that is not accepted.
    #[error("{field}: {problem}")]
    Field {
        /// The field, as a path in `FetchBatchRequest`.
        field: String,
        /// What is wrong with it, and what is accepted.
        problem: String,
    },
    #[error("the message is not a FetchBatchRequest: {0}")]
    Malformed(#[from] Malformed),
}

/// The requests of a batch, as they came.
struct Encoded {
    message: Bytes,
    /// Where each is in the message.
    places: Vec<Place>,
    /// The options of the batch.
    options: Options,
    config: Arc<Config>,
}

#[derive(Clone, Copy)]
struct Place {
    start: u32,
    length: u32,
}

/// The fields of the contract that are read here.
pub(super) mod field {
    pub(in crate::service) const REQUESTS: u32 = 1;
    pub(in crate::service) const BATCH_OPTIONS: u32 = 2;
    pub(in crate::service) const CONCURRENCY: u32 = 3;
    pub(in crate::service) const TIMEOUT: u32 = 4;

    pub(in crate::service) const URL: u32 = 1;
    pub(in crate::service) const METHOD: u32 = 2;
    pub(in crate::service) const HEADERS: u32 = 3;
    pub(in crate::service) const BODY: u32 = 4;
    pub(in crate::service) const OPTIONS: u32 = 5;

    pub(in crate::service) const NAME: u32 = 1;
    pub(in crate::service) const VALUE: u32 = 2;
}

/// What a waiting request takes beside its bytes in the message.
pub(super) const PER_REQUEST: usize = 16;

/// The batch of `message`, which `caller` sent and which arrived at `arrival`.
/// Reads every field of it, and gives way to others meanwhile. Cancel-safe.
pub(super) async fn batch(
    message: Bytes,
    caller: Caller,
    arrival: Instant,
    config: &Arc<Config>,
) -> Result<Batch, InvalidBatch> {
    let limits = &config.limits;
    let mut check = Check::default();
    let mut places = Vec::new();
    let mut doubtful = Vec::new();
    let mut defaults = proto::FetchOptions::default();
    let mut concurrency = 0;
    let mut timeout: Option<prost_types::Duration> = None;
    let mut fields = Fields::of(&message);
    while let Some(found) = fields.next() {
        check.count().await;
        let (number, value) = found?;
        match number {
            field::REQUESTS => {
                let request = value.bytes(number)?;
                if places.len() >= limits.max_batch_requests as usize {
                    return Err(too_many(limits.max_batch_requests));
                }
                let end = message.len() - fields.remaining();
                if !check.request(request).await? {
                    doubtful.push(places.len());
                }
                places.push(Place::new(end - request.len(), request.len()));
            }
            field::BATCH_OPTIONS => merge(&mut defaults, value.bytes(number)?, number)?,
            field::CONCURRENCY => concurrency = value.uint32(number)?,
            field::TIMEOUT => {
                let timeout = timeout.get_or_insert_default();
                merge(timeout, value.bytes(number)?, number)?;
            }
            _ => {}
        }
    }
    places.shrink_to_fit();
    let options = options(&defaults, Options::default(), config)
        .map_err(|invalid| InvalidBatch::of(format!("options.{}", invalid.field), invalid))?;
    let timeout = duration("timeout", timeout.as_ref())
        .map_err(|invalid| InvalidBatch::of(invalid.field.to_owned(), invalid))?;
    let concurrency = match concurrency {
        0 => limits.default_concurrency,
        wish => wish.min(limits.max_concurrency),
    };
    let mut requests = Requests::new(Encoded {
        message,
        places,
        options,
        config: Arc::clone(config),
    });
    for index in doubtful {
        check.count().await;
        let index = u32::try_from(index).expect("places are limited to far fewer");
        requests.check(index);
    }
    Ok(Batch {
        requests,
        caller,
        concurrency: concurrency as usize,
        arrival,
        deadline: timeout.and_then(|timeout| arrival.checked_add(timeout)),
    })
}

/// Merges the encoded message `bytes` into `message`: a field that comes again
/// replaces the fields that it sets.
pub(super) fn merge(
    message: &mut (impl prost::Message + Sized),
    bytes: &[u8],
    number: u32,
) -> Result<(), Malformed> {
    message.merge(bytes).map_err(|_| Malformed::Field(number))
}

impl Place {
    fn new(start: usize, length: usize) -> Self {
        const FITS: &str = "the length of a message of gRPC has 32 bits";

        Self {
            start: u32::try_from(start).expect(FITS),
            length: u32::try_from(length).expect(FITS),
        }
    }
}

impl EncodedRequests for Encoded {
    fn count(&self) -> u32 {
        u32::try_from(self.places.len()).expect("a batch is limited to far fewer requests")
    }

    fn decode(&self, index: u32) -> Result<Request, InvalidRequest> {
        let place = self.places.get(index as usize);
        let place = place.ok_or_else(|| InvalidRequest::new("requests", "there is none"))?;
        let encoded = &self.message[place.start as usize..][..place.length as usize];
        self.read(encoded).map_err(|undecodable| match undecodable {
            Undecodable::Invalid(invalid) => invalid,
            // Checked before the batch was let in.
            Undecodable::Malformed(malformed) => {
                InvalidRequest::new("requests", malformed.to_string())
            }
        })
    }
}

/// Why there is no request.
enum Undecodable {
    Malformed(Malformed),
    Invalid(InvalidRequest),
}

impl Encoded {
    fn read(&self, encoded: &[u8]) -> Result<Request, Undecodable> {
        let (mut url, mut method, mut body) = ("", "", &[][..]);
        let mut own: Option<proto::FetchOptions> = None;
        let mut count = 0;
        for found in Fields::of(encoded) {
            let (number, value) = found?;
            match number {
                field::URL => url = value.text(number)?,
                field::METHOD => method = value.text(number)?,
                field::BODY => body = value.bytes(number)?,
                field::OPTIONS => {
                    merge(own.get_or_insert_default(), value.bytes(number)?, number)?;
                }
                field::HEADERS => count += 1,
                _ => {}
            }
            if count > Request::MAX_HEADERS {
                let most = Request::MAX_HEADERS;
                let problem = format!("at most {most} lines are accepted");
                return Err(InvalidRequest::new("headers", problem).into());
            }
        }
        let mut request = Request::new(url, method)?;
        // Most have no header lines, and are not read again.
        for found in Fields::of(if count > 0 { encoded } else { &[] }) {
            if let (field::HEADERS, line) = found? {
                self.add_header(&mut request, line.bytes(field::HEADERS)?)?;
            }
        }
        request.body = self.message.slice_ref(body);
        request.options = match own {
            Some(own) => options(&own, self.options, &self.config)?,
            None => self.options,
        };
        Ok(request)
    }

    fn add_header(&self, request: &mut Request, line: &[u8]) -> Result<(), Undecodable> {
        let (mut name, mut value) = ("", &[][..]);
        for found in Fields::of(line) {
            match found? {
                (field::NAME, text) => name = text.text(field::NAME)?,
                (field::VALUE, bytes) => value = bytes.bytes(field::VALUE)?,
                _ => {}
            }
        }
        Ok(request.add_header(name, self.message.slice_ref(value))?)
    }
}

impl From<Malformed> for Undecodable {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<InvalidRequest> for Undecodable {
    fn from(invalid: InvalidRequest) -> Self {
        Self::Invalid(invalid)
    }
}

fn too_many(most: u32) -> InvalidBatch {
    InvalidBatch::Field {
        field: "requests".to_owned(),
        problem: format!("has too many requests; at most {most} are accepted in one batch"),
    }
}

/// `base` with every field that `message` sets.
fn options(
    message: &proto::FetchOptions,
    base: Options,
    config: &Config,
) -> Result<Options, InvalidRequest> {
    let set = |field, value, or| Ok(duration(field, value)?.unwrap_or(or));
    if message.max_attempts == Some(0) {
        return Err(InvalidRequest::new(
            "max_attempts",
            "is 0; 1 is the least, and never retries",
        ));
    }
    let wished = Options {
        timeout: set("timeout", message.timeout.as_ref(), base.timeout)?,
        idle_timeout: set(
            "idle_timeout",
            message.idle_timeout.as_ref(),
            base.idle_timeout,
        )?,
        connect_timeout: set(
            "connect_timeout",
            message.connect_timeout.as_ref(),
            base.connect_timeout,
        )?,
        max_redirects: message.max_redirects.unwrap_or(base.max_redirects),
        max_body_bytes: message.max_body_bytes.unwrap_or(base.max_body_bytes),
        body_overflow: overflow(message.body_overflow)?.unwrap_or(base.body_overflow),
        max_attempts: message.max_attempts.unwrap_or(base.max_attempts),
    };
    Ok(wished.lowered_to(&config.request_limits))
}

fn overflow(value: i32) -> Result<Option<Overflow>, InvalidRequest> {
    match proto::BodyOverflow::try_from(value) {
        Ok(proto::BodyOverflow::Unspecified) => Ok(None),
        Ok(proto::BodyOverflow::Fail) => Ok(Some(Overflow::Fail)),
        Ok(proto::BodyOverflow::Truncate) => Ok(Some(Overflow::Truncate)),
        Err(_) => {
            let problem = format!("{value} is not known; 0 to 2 are accepted");
            Err(InvalidRequest::new("body_overflow", problem))
        }
    }
}

fn duration(
    field: &'static str,
    value: Option<&prost_types::Duration>,
) -> Result<Option<Duration>, InvalidRequest> {
    let Some(value) = value else {
        return Ok(None);
    };
    match (u64::try_from(value.seconds), u32::try_from(value.nanos)) {
        (Ok(seconds), Ok(nanos @ ..1_000_000_000)) if (seconds, nanos) != (0, 0) => {
            Ok(Some(Duration::new(seconds, nanos)))
        }
        _ => {
            let problem = "is no duration above 0s, with 0 to 999999999 nanos";
            Err(InvalidRequest::new(field, problem))
        }
    }
}

impl InvalidBatch {
    fn of(field: String, invalid: InvalidRequest) -> Self {
        Self::Field {
            field,
            problem: invalid.problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::proto::{FetchBatchRequest, FetchOptions, FetchRequest, Header};

    async fn read(message: Vec<u8>) -> Result<Batch, InvalidBatch> {
        let config = Arc::new(Config::default());
        batch(message.into(), Caller::at(None), Instant::now(), &config).await
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
        fn requests_are_what_was_encoded(
            requests in prop::collection::vec(request(), 0..5),
            concurrency in 0..600_u32,
        ) {
            let message = FetchBatchRequest {
                requests: requests.clone(),
                concurrency,
                ..FetchBatchRequest::default()
            };
            let read = futures_util::FutureExt::now_or_never(read(message.encode_to_vec()));
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
        fn what_prost_accepts_is_accepted(
            mut bytes in prop::collection::vec(prop_oneof![0..0x30_u8, any::<u8>()], 0..40),
            is_request in any::<bool>(),
        ) {
            if is_request {
                bytes.splice(0..0, [0x0a, u8::try_from(bytes.len()).unwrap()]);
            }
            let is_expected = FetchBatchRequest::decode(&bytes[..]).is_ok();
            let read = futures_util::FutureExt::now_or_never(read(bytes)).unwrap();
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
        let batch = read([message, request].concat()).await.unwrap();
        let (_, error) = batch.requests.refused().next().unwrap();
        assert_eq!(error.field, "headers");
        assert!(error.problem.contains("at most 1000 lines"), "{error}");
    }
}
