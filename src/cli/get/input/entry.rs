//! An entry in the input list: either a URL or a JSON object that describes a request.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cli::get::header_values::HeaderValues;

/// A request as written in the input.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) url: String,
    pub(super) method: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, HeaderValues>,
    pub(super) body: Option<String>,
}

impl Entry {
    /// Parses an input line. Blank lines and comments give `None`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "expected UTF-8".to_owned())?;
        match text.trim() {
            "" => Ok(None),
            comment if comment.starts_with('#') => Ok(None),
            object if object.starts_with('{') => serde_json::from_str(object)
                .map(Some)
                .map_err(|error| format!("expected a request as a JSON object: {error}")),
            url => Ok(Some(Self::from_url(url))),
        }
    }

    pub(super) fn from_url(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..Self::default()
        }
    }

    /// Returns true if the entry sets the header `name` (case doesn't matter).
    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers
            .keys()
            .any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_comments_are_skipped() {
        for line in ["\n", "  \r\n", "# a comment\n"] {
            assert_eq!(Entry::parse(line.as_bytes()), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn lines_are_urls_or_objects() {
        let expected = Ok(Some(Entry::from_url("http://a.example/")));
        assert_eq!(Entry::parse(b" http://a.example/\r\n"), expected);
        assert_eq!(Entry::parse(br#"{"url": "http://a.example/"}"#), expected);
    }

    #[test]
    fn unknown_fields_are_rejected() {
        let error = Entry::parse(br#"{"uri": "http://a.example/"}"#).unwrap_err();
        assert!(error.contains("unknown field `uri`"), "{error}");
        assert_eq!(Entry::parse(b"\xff"), Err("expected UTF-8".to_owned()));
    }
}
