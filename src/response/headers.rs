//! Response header lines.

use std::fmt;

/// Header lines in the order they arrived in, including duplicates.
///
/// All names are in lower case. Values are bytes, since HTTP doesn't promise UTF-8.
///
/// It doesn't matter how many lines there are, we only need two allocations for all of
/// them. None of them keeps a read buffer alive, either.
#[derive(Clone, Default)]
pub(crate) struct Headers {
    /// All names and values, one after another and without any separators.
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// Where to find a line in the text. It begins where the previous line ends.
#[derive(Clone, Copy)]
struct Line {
    name_end: usize,
    value_end: usize,
}

impl Headers {
    /// Creates an empty list that has space for `lines` lines, with `bytes` bytes in
    /// total.
    pub(crate) fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            lines: Vec::with_capacity(lines),
        }
    }

    /// Adds a line. The name is converted to lower case.
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

    /// Iterates over the lines in order. The items are pairs of name and value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.lines.iter().map(move |line| {
            let name = &self.text[start..line.name_end];
            start = line.value_end;
            (name, &self.text[line.name_end..line.value_end])
        })
    }

    /// Iterates over the values of all lines called `name` (in lower case).
    pub(crate) fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let lines = self
            .iter()
            .filter(move |(other, _)| *other == name.as_bytes());
        lines.map(|(_, value)| value)
    }

    /// Returns the value of the first line called `name` (in lower case).
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Removes all lines called by any of these `names` (in lower case).
    pub(crate) fn remove(&mut self, names: &[&str]) {
        let mut kept = Self::with_capacity(self.lines.len(), self.text.len());
        let is_kept = |name: &[u8]| names.iter().all(|other| other.as_bytes() != name);
        for (name, value) in self.iter().filter(|(name, _)| is_kept(name)) {
            kept.push(name, value.iter().copied());
        }
        *self = kept;
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns how many bytes all names and values have in total.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }
}

impl fmt::Debug for Headers {
    /// Prints just the names. Values might be secret.
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
