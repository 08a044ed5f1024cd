//! The header lines of a response.

use std::fmt;

/// Header lines in the order in which they came, duplicates kept. Names are in
/// lower case; values are bytes, since HTTP does not promise UTF-8.
///
/// All lines share two allocations, however many there are, and none of them keeps
/// a read buffer alive.
#[derive(Clone, Default)]
pub(crate) struct Headers {
    /// All names and values, one after another without separators.
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// The position of a line in the text. It starts at the end of the line before.
#[derive(Clone, Copy)]
struct Line {
    name_end: usize,
    value_end: usize,
}

impl Headers {
    /// Creates an empty list with capacity for `lines` lines of `bytes` bytes in
    /// total.
    pub(crate) fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            lines: Vec::with_capacity(lines),
        }
    }

    /// Adds a line, with its name in lower case.
    pub(crate) fn push(&mut self, name: impl AsRef<[u8]>, value: impl IntoIterator<Item = u8>) {
        let start = self.text.len();
        self.text.extend_from_slice(name.as_ref());
        self.text[start..].make_ascii_lowercase();
        let name_end = self.text.len();
        self.text.extend(value);
        self.lines.push(Line {
            name_end,
            value_end: self.text.len(),
        });
    }

    /// Iterates over the lines in order, as names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.lines.iter().map(move |line| {
            let name = &self.text[start..line.name_end];
            start = line.value_end;
            (name, &self.text[line.name_end..line.value_end])
        })
    }

    /// Iterates over the values of the lines named `name`, which is in lower case.
    pub(crate) fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let lines = self
            .iter()
            .filter(move |(other, _)| *other == name.as_bytes());
        lines.map(|(_, value)| value)
    }

    /// Returns the value of the first line named `name`, which is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Removes all lines that are named in `names`, which are in lower case.
    pub(crate) fn remove(&mut self, names: &[&str]) {
        let mut kept = Self::with_capacity(self.lines.len(), self.text.len());
        let is_kept = |name: &[u8]| names.iter().all(|other| other.as_bytes() != name);
        for (name, value) in self.iter().filter(|(name, _)| is_kept(name)) {
            kept.push(name, value.iter().copied());
        }
        *self = kept;
    }

    /// Returns the number of lines.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns the total size of all names and values, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }
}

impl fmt::Debug for Headers {
    /// Prints only the names, since a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name.escape_ascii().to_string()))
            .finish()
    }
}

#[cfg(test)]
impl<'a, const N: usize> From<[(&'a str, &'a str); N]> for Headers {
    fn from(lines: [(&'a str, &'a str); N]) -> Self {
        let mut headers = Self::default();
        for (name, value) in lines {
            headers.push(name, value.bytes());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_duplicates_are_kept() {
        let mut headers = Headers::from([("Set-Cookie", "a"), ("VARY", ""), ("set-cookie", "b")]);
        let lines: Vec<_> = headers.iter().collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"set-cookie", b"a"), (b"vary", b""), (b"set-cookie", b"b")];
        assert_eq!(lines, expected);
        assert_eq!(headers.get("set-cookie"), Some(&b"a"[..]));
        assert_eq!(headers.get_all("set-cookie").count(), 2);
        headers.remove(&["set-cookie"]);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.get("vary"), Some(&b""[..]));
    }
}
