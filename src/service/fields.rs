//! A reader for [encoded Protocol
//! Buffers](https://protobuf.dev/programming-guides/encoding/). It splits a message into
//! its fields without decoding or copying them.

/// Iterates over the fields of an encoded message. It stops after the first error.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    /// A string, bytes, or a nested message.
    Bytes(&'a [u8]),
    /// A fixed-size number or a group. None of our fields has such a type.
    Other,
}

/// Why the bytes aren't a valid message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("a varint has more than 64 bits")]
    Varint,
    #[error("the message is truncated")]
    CutShort,
    #[error("expected a field number from 1 to {MAX_NUMBER}, got {0}")]
    Number(u64),
    #[error("expected a wire type from 0 to 5, got {0}")]
    WireType(u8),
    #[error("a group ends that has not begun")]
    GroupEnd,
    #[error("expected groups nested at most {MAX_DEPTH} deep")]
    Depth,
    #[error("field {0} has the wrong wire type")]
    Unexpected(u32),
    #[error("field {0} is not UTF-8")]
    Utf8(u32),
    #[error("field {0} cannot be decoded")]
    Field(u32),
}

/// How deep groups may be nested. Other implementations use the same limit.
const MAX_DEPTH: usize = 100;

/// The highest valid field number.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// Decodes `bytes`, the value of field `number`, into `message`.
///
/// If the field appears again later on, call this again. As Protocol Buffers require,
/// fields set in the second occurrence override those of the first.
pub(super) fn merge(
    message: &mut (impl prost::Message + Sized),
    bytes: &[u8],
    number: u32,
) -> Result<(), Malformed> {
    message.merge(bytes).map_err(|_| Malformed::Field(number))
}

impl<'a> Fields<'a> {
    /// Returns an iterator over the fields of `message`.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Returns how many bytes we haven't read yet.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn next_field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let (number, wire_type) = self.key()?;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => Value::Bytes(self.bytes()?),
            3 => self.skip_group(number)?,
            5 => self.skip(4)?,
            4 => return Err(Malformed::GroupEnd),
            other => return Err(Malformed::WireType(other)),
        };
        Ok((number, value))
    }

    fn key(&mut self) -> Result<(u32, u8), Malformed> {
        let key = self.varint()?;
        let number = key >> 3;
        if !(1..=MAX_NUMBER).contains(&number) {
            return Err(Malformed::Number(number));
        }
        let number = u32::try_from(number).expect("a field number has 29 bits");
        Ok((number, (key & 7) as u8))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(Malformed::CutShort)?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                return Err(Malformed::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed::CutShort)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed::CutShort)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn skip(&mut self, count: usize) -> Result<Value<'a>, Malformed> {
        self.rest = self.rest.get(count..).ok_or(Malformed::CutShort)?;
        Ok(Value::Other)
    }

    /// Skips the rest of a group with field number `number`, including any groups inside.
    fn skip_group(&mut self, number: u32) -> Result<Value<'a>, Malformed> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            let (number, wire_type) = self.key()?;
            match wire_type {
                0 => drop(self.varint()?),
                1 => drop(self.skip(8)?),
                2 => drop(self.bytes()?),
                5 => drop(self.skip(4)?),
                3 if open.len() < MAX_DEPTH => open.push(number),
                3 => return Err(Malformed::Depth),
                4 if *innermost == number => drop(open.pop()),
                4 => return Err(Malformed::GroupEnd),
                other => return Err(Malformed::WireType(other)),
            }
        }
        Ok(Value::Other)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.next_field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    /// Returns the bytes, or an error naming field `number` if the value isn't bytes.
    pub(super) fn bytes(self, number: u32) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Unexpected(number)),
        }
    }

    /// Returns the string, or an error naming field `number` if the value isn't valid
    /// UTF-8.
    pub(super) fn text(self, number: u32) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(number)?).map_err(|_| Malformed::Utf8(number))
    }

    /// Returns the value as a `uint32`, or an error naming field `number` if it isn't a
    /// varint. If the number is too large, we keep the low 32 bits, as the encoding
    /// requires.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn uint32(self, number: u32) -> Result<u32, Malformed> {
        match self {
            Self::Varint(value) => Ok(value as u32),
            _ => Err(Malformed::Unexpected(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// A message without fields. prost can decode any well-formed message as this.
    #[derive(Clone, PartialEq, Message)]
    struct Empty {}

    fn read(message: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Malformed> {
        Fields::of(message).collect()
    }

    #[test]
    fn group_is_one_field() {
        let nested = b"\x7b\x08\x01\x83\x01\x84\x01\x7c\x0a\x01x";
        let expected = [(15, Value::Other), (1, Value::Bytes(b"x"))];
        assert_eq!(read(nested).unwrap(), expected);
    }

    #[test]
    fn malformed_message_is_rejected() {
        for (message, fault) in [
            (&b"\x7b"[..], Malformed::CutShort),
            (b"\x7c", Malformed::GroupEnd),
            (b"\x7b\x74", Malformed::GroupEnd),
            (b"\x0a\x05x", Malformed::CutShort),
            (b"\x09\0\0", Malformed::CutShort),
            (b"\x02\0", Malformed::Number(0)),
            (b"\x0e", Malformed::WireType(6)),
            (b"\x7b\x0f", Malformed::WireType(7)),
            (
                &[&b"\x08"[..], &[0xff; 9], b"\x02"].concat(),
                Malformed::Varint,
            ),
            (&[&b"\x08"[..], &[0xff; 11]].concat(), Malformed::Varint),
            (&b"\x7b".repeat(1000), Malformed::Depth),
        ] {
            assert_eq!(read(message).unwrap_err(), fault, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn fields_are_read_as_prost_reads_them(
            bytes in prop::collection::vec(prop_oneof![0..0x20_u8, any::<u8>()], 0..40),
        ) {
            let is_accepted = read(&bytes).is_ok();
            let is_expected = Empty::decode(&bytes[..]).is_ok();
            // prost rejects keys of more than 32 bits. We end up rejecting the same ones,
            // since their field numbers are out of range.
            prop_assert_eq!(is_accepted, is_expected, "{:?}", read(&bytes));
        }
    }
}
