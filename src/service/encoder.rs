//! Encodes response messages.
//!
//! We write parts directly into the buffer instead of building the prost structs first,
//! since that's faster and saves allocations. The tests make sure we get the same bytes
//! as prost.

#[cfg(test)]
mod tests;

use bytes::BufMut;
use http::{Uri, Version};
use prost::encoding::{self, WireType};
use tonic::{
    Status,
    codec::{EncodeBuf, Encoder},
};

use super::field::{head, header, part, response};
use crate::{
    proto,
    response::{Head, Part},
};

/// A `FetchBatchResponse` made of these parts.
pub(crate) struct OutboundMessage(pub(super) Vec<Part>);

/// Encodes [`OutboundMessage`]s.
pub(super) struct MessageEncoder;

impl Encoder for MessageEncoder {
    type Item = OutboundMessage;
    type Error = Status;

    fn encode(
        &mut self,
        message: OutboundMessage,
        buffer: &mut EncodeBuf<'_>,
    ) -> Result<(), Status> {
        let parts: Vec<_> = message.0.into_iter().map(SizedPart::new).collect();
        // Reserve everything now. If the buffer had to grow later, it would copy all
        // parts written so far.
        buffer.reserve(parts.iter().map(|part| field_length(part.length)).sum());
        for part in &parts {
            put_length(response::PARTS, part.length, buffer);
            part.put(buffer);
        }
        Ok(())
    }
}

/// A part with its field lengths, since a length is written before its field.
struct SizedPart {
    index: u32,
    head: Option<(Head, usize)>,
    body: bytes::Bytes,
    end: Option<proto::FetchEnd>,
    length: usize,
}

impl SizedPart {
    fn new(part: Part) -> Self {
        let head = part.head.map(|head| {
            let length = head_length(&head);
            (head, length)
        });
        let end = part.end.map(proto::FetchEnd::from);
        let mut length = 0;
        if part.index != 0 {
            length += encoding::uint32::encoded_len(part::INDEX, &part.index);
        }
        length += head.as_ref().map_or(0, |(_, length)| field_length(*length));
        length += optional_length(part.body.len());
        length += end
            .as_ref()
            .map_or(0, |end| encoding::message::encoded_len(part::END, end));
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
            encoding::uint32::encode(part::INDEX, &self.index, buffer);
        }
        if let Some((head, length)) = &self.head {
            put_length(part::HEAD, *length, buffer);
            put_head(head, buffer);
        }
        put_text(part::BODY, &[&self.body], buffer);
        if let Some(end) = &self.end {
            encoding::message::encode(part::END, end, buffer);
        }
    }
}

fn head_length(head: &Head) -> usize {
    let header_lines = head.headers.iter();
    let headers: usize = header_lines
        .map(|(name, value)| field_length(header_length(name, value)))
        .sum();
    let url: usize = pieces(&head.url).iter().map(|piece| piece.len()).sum();
    encoding::uint32::encoded_len(head::STATUS, &u32::from(head.status.as_u16()))
        + headers
        + optional_length(url)
        + encoding::int32::encoded_len(head::VERSION, &version(head.version))
}

fn put_head(head: &Head, buffer: &mut impl BufMut) {
    encoding::uint32::encode(head::STATUS, &head.status.as_u16().into(), buffer);
    for (name, value) in head.headers.iter() {
        put_length(head::HEADERS, header_length(name, value), buffer);
        put_text(header::NAME, &[name], buffer);
        put_text(header::VALUE, &[value], buffer);
    }
    put_text(head::URL, &pieces(&head.url), buffer);
    encoding::int32::encode(head::VERSION, &version(head.version), buffer);
}

fn header_length(name: &[u8], value: &[u8]) -> usize {
    optional_length(name.len()) + optional_length(value.len())
}

/// Returns the pieces of a URL. [`Uri`] doesn't store it as a single string.
fn pieces(url: &Uri) -> [&[u8]; 4] {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let path = url.path_and_query().map_or("", |path| path.as_str());
    [scheme, "://", authority, path].map(str::as_bytes)
}

/// Returns the encoded length of a field with a value of `length` bytes.
fn field_length(length: usize) -> usize {
    // All our field numbers are small enough for a one-byte key.
    encoding::key_len(1) + encoding::encoded_len_varint(length as u64) + length
}

/// Returns the encoded length of a string or bytes field. It's 0 if the field is empty,
/// since we don't write those.
fn optional_length(length: usize) -> usize {
    match length {
        0 => 0,
        length => field_length(length),
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
