//! Checks that each request of a call gets exactly one outcome, whichever parts a service
//! sends: the result that consists of its own parts, or an error.

#![no_main]

use fetchd::{
    internals::send_property::each_request_gets_its_own_parts_or_an_error,
    proto::{FetchEnd, FetchError, Header, ResponseHead, ResultPart, Timing},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Call<'a> {
    count: u8,
    per_message: u8,
    parts: Vec<Part<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Part<'a> {
    index: u8,
    head: Head<'a>,
    body: &'a [u8],
    end: Option<End<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Head<'a> {
    None,
    Valid,
    Any {
        status: u16,
        url: &'a str,
        headers: Vec<(&'a str, &'a [u8])>,
        version: i32,
    },
}

#[derive(Arbitrary, Debug)]
struct End<'a> {
    error: Option<(i32, &'a str, bool)>,
    /// How many bytes more than the body has.
    surplus: u8,
    attempts: u8,
    queued: Option<(i64, i32)>,
}

fuzz_target!(|call: Call<'_>| {
    let count = usize::from(call.count % 8);
    let mut sizes = vec![0; count + 1];
    let parts: Vec<_> = call
        .parts
        .into_iter()
        .map(|part| {
            // One of the indices is out of range.
            let index = usize::from(part.index) % sizes.len();
            sizes[index] += part.body.len() as u64;
            ResultPart {
                index: index as u32,
                head: part.head.into_message(),
                body: part.body.to_vec().into(),
                end: part.end.map(|end| end.into_message(sizes[index])),
            }
        })
        .collect();
    each_request_gets_its_own_parts_or_an_error(count, &parts, call.per_message.into());
});

impl Head<'_> {
    fn into_message(self) -> Option<ResponseHead> {
        match self {
            Self::None => None,
            Self::Valid => Some(ResponseHead {
                status: 200,
                url: "http://a.test/".to_owned(),
                ..ResponseHead::default()
            }),
            Self::Any {
                status,
                url,
                headers,
                version,
            } => Some(ResponseHead {
                status: status.into(),
                url: url.to_owned(),
                headers: headers
                    .into_iter()
                    .map(|(name, value)| Header {
                        name: name.to_owned(),
                        value: value.to_vec().into(),
                    })
                    .collect(),
                version,
            }),
        }
    }
}

impl End<'_> {
    /// Converts the end of a body of `size` bytes.
    fn into_message(self, size: u64) -> FetchEnd {
        let error = self.error.map(|(reason, message, retryable)| FetchError {
            reason,
            message: message.to_owned(),
            retryable,
        });
        let queued = self
            .queued
            .map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        FetchEnd {
            error,
            attempts: self.attempts.into(),
            body_bytes: size + u64::from(self.surplus),
            timing: Some(Timing {
                queued,
                ..Timing::default()
            }),
            ..FetchEnd::default()
        }
    }
}
