//! Parts in the form that the contract gives them: written straight into the
//! buffer of the message, without the structs that prost would have to be given.
//! The tests hold it against these.

use std::time::Duration;

use bytes::BufMut;
use http::{Uri, Version};
use prost::encoding::{self, WireType};
use tonic::{
    Status,
    codec::{EncodeBuf, Encoder},
};

use crate::{
    proto,
    response::{End, FetchError, Head, Part, Reason, Timing},
};

/// The parts of one `FetchBatchResponse`.
pub(crate) struct Message(pub(super) Vec<Part>);

/// Writes [`Message`]s.
pub(super) struct MessageEncoder;

/// Field numbers of the contract.
mod field {
    /// Of `FetchBatchResponse`.
    pub(super) const PARTS: u32 = 1;
    /// Of `ResultPart`.
    pub(super) const INDEX: u32 = 1;
    pub(super) const HEAD: u32 = 2;
    pub(super) const BODY: u32 = 3;
    pub(super) const END: u32 = 4;
    /// Of `ResponseHead`.
    pub(super) const STATUS: u32 = 1;
    pub(super) const HEADERS: u32 = 2;
    pub(super) const URL: u32 = 3;
    pub(super) const VERSION: u32 = 4;
    /// Of `Header`.
    pub(super) const NAME: u32 = 1;
    pub(super) const VALUE: u32 = 2;
}

impl Encoder for MessageEncoder {
    type Item = Message;
    type Error = Status;

    fn encode(&mut self, message: Message, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let parts: Vec<_> = message.0.into_iter().map(Measured::new).collect();
        // At once: growing would copy what was written.
        buffer.reserve(parts.iter().map(|part| sub_length(part.length)).sum());
        for part in &parts {
            put_length(field::PARTS, part.length, buffer);
            part.put(buffer);
        }
        Ok(())
    }
}

/// A part, and the lengths that come before what they are of.
struct Measured {
    index: u32,
    head: Option<(Head, usize)>,
    body: bytes::Bytes,
    end: Option<proto::FetchEnd>,
    length: usize,
}

impl Measured {
    fn new(part: Part) -> Self {
        let head = part.head.map(|head| {
            let length = head_length(&head);
            (head, length)
        });
        let end = part.end.map(proto::FetchEnd::from);
        let mut length = 0;
        if part.index != 0 {
            length += encoding::uint32::encoded_len(field::INDEX, &part.index);
        }
        length += head.as_ref().map_or(0, |(_, length)| sub_length(*length));
        length += text_length(part.body.len());
        length += end
            .as_ref()
            .map_or(0, |end| encoding::message::encoded_len(field::END, end));
        Self {
            index: part.index,
            head,
            body: part.body,
            end,
            length,
        }
    }

    fn put(&self, buffer: &mut impl BufMut) {
        if self.index != 0 {
            encoding::uint32::encode(field::INDEX, &self.index, buffer);
        }
        if let Some((head, length)) = &self.head {
            put_length(field::HEAD, *length, buffer);
            put_head(head, buffer);
        }
        put_text(field::BODY, &[&self.body], buffer);
        if let Some(end) = &self.end {
            encoding::message::encode(field::END, end, buffer);
        }
    }
}

fn head_length(head: &Head) -> usize {
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| sub_length(header_length(name, value)));
    let url: usize = pieces(&head.url).iter().map(|piece| piece.len()).sum();
    encoding::uint32::encoded_len(field::STATUS, &u32::from(head.status.as_u16()))
        + headers.sum::<usize>()
        + text_length(url)
        + encoding::int32::encoded_len(field::VERSION, &version(head.version))
}

fn put_head(head: &Head, buffer: &mut impl BufMut) {
    encoding::uint32::encode(field::STATUS, &head.status.as_u16().into(), buffer);
    for (name, value) in head.headers.iter() {
        put_length(field::HEADERS, header_length(name, value), buffer);
        put_text(field::NAME, &[name], buffer);
        put_text(field::VALUE, &[value], buffer);
    }
    put_text(field::URL, &pieces(&head.url), buffer);
    encoding::int32::encode(field::VERSION, &version(head.version), buffer);
}

fn header_length(name: &[u8], value: &[u8]) -> usize {
    text_length(name.len()) + text_length(value.len())
}

/// The text of a URL, which is never kept in one piece.
fn pieces(url: &Uri) -> [&[u8]; 4] {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let path = url.path_and_query().map_or("", |path| path.as_str());
    [scheme, "://", authority, path].map(str::as_bytes)
}

/// The length of a field of `length` bytes, with its key and its length.
fn sub_length(length: usize) -> usize {
    // A key of any number here takes one byte.
    encoding::key_len(1) + encoding::encoded_len_varint(length as u64) + length
}

/// The same of a text or of bytes, which are left out if they are empty.
fn text_length(length: usize) -> usize {
    match length {
        0 => 0,
        length => sub_length(length),
    }
}

fn put_length(field: u32, length: usize, buffer: &mut impl BufMut) {
    encoding::encode_key(field, WireType::LengthDelimited, buffer);
    encoding::encode_varint(length as u64, buffer);
}

fn put_text(field: u32, pieces: &[&[u8]], buffer: &mut impl BufMut) {
    let length = pieces.iter().map(|piece| piece.len()).sum();
    if length > 0 {
        put_length(field, length, buffer);
        for piece in pieces {
            buffer.put_slice(piece);
        }
    }
}

fn version(version: Version) -> i32 {
    let version = match version {
        Version::HTTP_10 => proto::HttpVersion::Http10,
        Version::HTTP_11 => proto::HttpVersion::Http11,
        Version::HTTP_2 => proto::HttpVersion::Http2,
        Version::HTTP_3 => proto::HttpVersion::Http3,
        _ => proto::HttpVersion::Unspecified,
    };
    version.into()
}

impl From<End> for proto::FetchEnd {
    fn from(end: End) -> Self {
        Self {
            error: end.error.map(Into::into),
            attempts: end.attempts,
            redirects: end.redirects,
            body_bytes: end.body_bytes,
            truncated: end.truncated,
            timing: Some(end.timing.into()),
        }
    }
}

impl From<Timing> for proto::Timing {
    fn from(timing: Timing) -> Self {
        Self {
            queued: Some(duration(timing.queued)),
            first_byte: timing.first_byte.map(duration),
            total: timing.total.map(duration),
            dns: timing.phases.dns.map(duration),
            connect: timing.phases.connect.map(duration),
            tls: timing.phases.tls.map(duration),
            connection_reused: timing.phases.is_reused,
        }
    }
}

impl From<FetchError> for proto::FetchError {
    fn from(error: FetchError) -> Self {
        Self {
            reason: proto::Reason::from(error.reason).into(),
            message: error.message,
            retryable: error.retryable,
        }
    }
}

impl From<Reason> for proto::Reason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::InvalidRequest => Self::InvalidRequest,
            Reason::Blocked => Self::Blocked,
            Reason::Dns => Self::Dns,
            Reason::Connect => Self::Connect,
            Reason::Tls => Self::Tls,
            Reason::Timeout => Self::Timeout,
            Reason::TooManyRedirects => Self::TooManyRedirects,
            Reason::Protocol => Self::Protocol,
            Reason::Disconnected => Self::Disconnected,
            Reason::Decode => Self::Decode,
            Reason::BodyTooLarge => Self::BodyTooLarge,
            Reason::BatchDeadline => Self::BatchDeadline,
            Reason::ShuttingDown => Self::ShuttingDown,
            Reason::Internal => Self::Internal,
        }
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    // Times within one call: they fit.
    prost_types::Duration::try_from(duration).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::response::{Headers, Phases};

    /// What prost makes of the same part.
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
        fn a_message_is_what_prost_would_write(parts in prop::collection::vec(part(), 0..4)) {
            let expected = proto::FetchBatchResponse {
                parts: parts.iter().map(expected).collect(),
            };
            let mut buffer = BytesMut::new();
            for part in parts.into_iter().map(Measured::new) {
                put_length(field::PARTS, part.length, &mut buffer);
                part.put(&mut buffer);
            }
            prop_assert_eq!(&buffer[..], &expected.encode_to_vec()[..]);
        }
    }
}
