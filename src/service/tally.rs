//! Counts the requests of a message as it comes, so that too many are refused
//! before they are decoded: an empty one has two bytes, and 200 when decoded.

/// Reads the keys and lengths of a message of gRPC (a prefix of five bytes, and
/// the encoding of Protocol Buffers), in pieces. What is malformed is left to the
/// decoder.
pub(super) struct Tally {
    /// What of the field, or of the prefix, has not come.
    skip: u64,
    expected: Expected,
    varint: u64,
    shift: u32,
    requests: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Key,
    Length,
    Value,
    Nothing,
}

/// `FetchBatchRequest.requests`.
const REQUESTS: u64 = 1;

impl Tally {
    /// Nothing of a message whose prefix has `prefix` bytes.
    pub(super) fn new(prefix: usize) -> Self {
        Self {
            skip: prefix as u64,
            expected: Expected::Key,
            varint: 0,
            shift: 0,
            requests: 0,
        }
    }

    /// Reads on, and says how many requests there were so far.
    pub(super) fn read(&mut self, mut data: &[u8]) -> u64 {
        while self.expected != Expected::Nothing && !data.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX);
            let skipped = skipped.min(data.len());
            self.skip -= skipped as u64;
            data = &data[skipped..];
            if let Some((byte, rest)) = data.split_first() {
                data = rest;
                self.take(*byte);
            }
        }
        self.requests
    }

    fn take(&mut self, byte: u8) {
        self.varint |= u64::from(byte & 0x7f).checked_shl(self.shift).unwrap_or(0);
        self.shift += 7;
        if byte & 0x80 != 0 {
            if self.shift >= 70 {
                self.expected = Expected::Nothing;
            }
            return;
        }
        let value = std::mem::take(&mut self.varint);
        self.shift = 0;
        self.expected = match self.expected {
            Expected::Key => self.field(value >> 3, value & 7),
            Expected::Length => {
                self.skip = value;
                Expected::Key
            }
            Expected::Value => Expected::Key,
            Expected::Nothing => Expected::Nothing,
        };
    }

    fn field(&mut self, number: u64, wire_type: u64) -> Expected {
        match wire_type {
            0 => Expected::Value,
            2 => {
                self.requests += u64::from(number == REQUESTS);
                Expected::Length
            }
            1 | 5 => {
                self.skip = if wire_type == 1 { 8 } else { 4 };
                Expected::Key
            }
            _ => Expected::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::proto::{FetchBatchRequest, FetchRequest};

    proptest! {
        #[test]
        fn requests_are_counted_however_they_come(
            urls in prop::collection::vec(".{0,300}", 0..20),
            concurrency in any::<u32>(),
            seconds in any::<i64>(),
            piece in 1..64_usize,
        ) {
            let count = urls.len() as u64;
            let requests = urls.into_iter().map(|url| FetchRequest { url, ..Default::default() });
            let batch = FetchBatchRequest {
                requests: requests.collect(),
                concurrency,
                timeout: Some(prost_types::Duration { seconds, nanos: 0 }),
                ..Default::default()
            };
            let message = [vec![0; 5], batch.encode_to_vec()].concat();
            let mut tally = Tally::new(5);
            let counts = message.chunks(piece).map(|piece| tally.read(piece));
            prop_assert_eq!(counts.last(), Some(count));
        }

        #[test]
        fn nonsense_is_read_to_its_end(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut tally = Tally::new(5);
            for byte in data {
                tally.read(&[byte]);
            }
        }
    }
}
