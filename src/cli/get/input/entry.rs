//! An entry in the input list: either a URL or a JSON object that describes a request.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::get::header_values::HeaderValues;

/// A request as written in the input.
#[derive(Debug, Default, Deserialize)]
pub(in crate::cli::get) struct Entry {
    /// A string or a number. We keep its text, so that large numbers don't change.
    pub(super) id: Option<Box<RawValue>>,
    pub(in crate::cli::get) url: String,
    pub(in crate::cli::get) method: Option<String>,
    #[serde(default)]
    pub(in crate::cli::get) headers: BTreeMap<String, HeaderValues>,
    pub(in crate::cli::get) body: Option<String>,
}

/// A line that isn't a request, and what it says nevertheless.
#[derive(Debug)]
pub(in crate::cli::get) struct Invalid {
    pub(super) message: String,
    pub(super) id: Option<Box<RawValue>>,
    /// Empty if the line has none.
    pub(super) url: String,
}

/// The keys of a request.
const KEYS: [&str; 5] = ["url", "method", "headers", "body", "id"];

/// The keys of an output line that aren't keys of a request. We accept them so that
/// output lines can be input lines.
const OUTPUT_KEYS: [&str; 12] = [
    "index",
    STATUS,
    "body_base64",
    "file",
    "error",
    "final_url",
    "redirects",
    "http_version",
    "body_bytes",
    "truncated",
    "attempts",
    "timing",
];

/// If a line has this key, it's an output line, and its headers and body are those of the
/// response.
const STATUS: &str = "status";

impl Entry {
    /// Returns true if an input line is blank or a comment.
    pub(super) fn is_blank(line: &[u8]) -> bool {
        let start = line.trim_ascii_start().first();
        matches!(start, None | Some(b'#'))
    }

    /// Parses an input line that isn't blank.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(line).map_err(|_| Invalid::new("expected UTF-8"))?;
        match text.trim() {
            object if object.starts_with('{') => Self::parse_object(object),
            url => Ok(Self::from_url(url)),
        }
    }

    pub(super) fn from_url(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..Self::default()
        }
    }

    /// Returns true if the entry sets the header `name` (case doesn't matter).
    pub(in crate::cli::get) fn has_header(&self, name: &str) -> bool {
        self.headers
            .keys()
            .any(|own| own.eq_ignore_ascii_case(name))
    }

    fn parse_object(object: &str) -> Result<Self, Invalid> {
        let keys: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(object).map_err(|error| Invalid::new(unexpected(&error)))?;
        let invalid = |message| Invalid {
            message,
            id: keys
                .get("id")
                .filter(|id| is_id(id))
                .map(|&id| id.to_owned()),
            url: keys
                .get("url")
                .and_then(|url| serde_json::from_str(url.get()).ok())
                .unwrap_or_default(),
        };
        let is_unknown = |key: &&str| !KEYS.contains(key) && !OUTPUT_KEYS.contains(key);
        if let Some(key) = keys.keys().map(AsRef::as_ref).find(is_unknown) {
            let message = format!("expected the keys {}, got {key:?}", KEYS.join(", "));
            return Err(invalid(message));
        }
        let mut entry: Self =
            serde_json::from_str(object).map_err(|error| invalid(unexpected(&error)))?;
        if entry.id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(invalid(
                "expected a string or a number as the id".to_owned(),
            ));
        }
        if keys.contains_key(STATUS) {
            entry.headers.clear();
            entry.body = None;
        }
        Ok(entry)
    }
}

impl Invalid {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            id: None,
            url: String::new(),
        }
    }
}

fn is_id(value: &RawValue) -> bool {
    let is_start = |c: char| c == '"' || c == '-' || c.is_ascii_digit();
    value.get().starts_with(is_start)
}

/// Formats a JSON error. serde repeats strings of the input in it. We leave them out,
/// since they may be secret.
fn unexpected(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    if let Some(start) = message.find("string \"")
        && let Some(end) = message.rfind("\", expected")
        && start < end
    {
        message.replace_range(start..=end, "a string");
    }
    format!("expected a request as a JSON object: {message}")
}

#[cfg(test)]
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let id = |entry: &Self| entry.id.as_ref().map(|id| id.get().to_owned());
        (id(self), &self.url, &self.method, &self.headers, &self.body)
            == (
                id(other),
                &other.url,
                &other.method,
                &other.headers,
                &other.body,
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_comments_are_skipped() {
        for line in ["", "  \r", "# a comment", "\t#"] {
            assert!(Entry::is_blank(line.as_bytes()), "{line:?}");
        }
        assert!(!Entry::is_blank(b" http://a.example/#part"));
    }

    #[test]
    fn lines_are_urls_or_objects() {
        let expected = Entry::from_url("http://a.example/");
        assert_eq!(Entry::parse(b" http://a.example/\r").unwrap(), expected);
        assert_eq!(
            Entry::parse(br#"{"url": "http://a.example/"}"#).unwrap(),
            expected
        );
    }

    #[test]
    fn unknown_keys_are_rejected_with_the_known_ones() {
        let line = br#"{"id": 7, "url": "http://a.example/", "meth\u006fds": 1}"#;
        let error = Entry::parse(line).unwrap_err();
        assert_eq!(
            error.message,
            r#"expected the keys url, method, headers, body, id, got "methods""#
        );
        // So that the result can be joined with its line.
        assert_eq!(error.id.unwrap().get(), "7");
        assert_eq!(error.url, "http://a.example/");
        assert_eq!(Entry::parse(b"\xff").unwrap_err().message, "expected UTF-8");
    }

    #[test]
    fn ids_are_strings_or_numbers_and_keep_their_text() {
        for id in [r#""a\n""#, "7", "-1.50", "123456789012345678901234567890"] {
            let line = format!(r#"{{"url": "u", "id": {id}}}"#);
            let entry = Entry::parse(line.as_bytes()).unwrap();
            assert_eq!(entry.id.unwrap().get(), id);
        }
        assert!(
            Entry::parse(br#"{"url": "u", "id": null}"#)
                .unwrap()
                .id
                .is_none()
        );
        for id in ["[]", "{}", "true"] {
            let line = format!(r#"{{"url": "u", "id": {id}}}"#);
            let error = Entry::parse(line.as_bytes()).unwrap_err().message;
            assert!(error.contains("expected a string or a number"), "{error}");
        }
    }

    #[test]
    fn output_line_is_an_input_line() {
        let line = br#"{"index":3,"id":7,"url":"u","status":200,"headers":{"a":"b"},"body":"x"}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!(entry.id.as_ref().unwrap().get(), "7");
        assert!(entry.url == "u" && entry.headers.is_empty() && entry.body.is_none());
    }

    #[test]
    fn errors_do_not_repeat_the_input() {
        for line in [
            r#"{"url": "u", "headers": "Authorization: secret"}"#,
            r#"{"url": "u", "headers": {"authorization": {"secret": "secret"}}}"#,
            r#"{"url": ["http://user:secret@a.example/"]}"#,
            r#"{"url": "u", "body": {"a": "secret"}}"#,
        ] {
            let error = Entry::parse(line.as_bytes()).unwrap_err().message;
            assert!(
                error.contains("expected") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
