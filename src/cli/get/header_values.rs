//! Header values, as they appear in our JSON input and output.

use serde::{Deserialize, Serialize};

/// One header value, or several if the name occurs on several lines.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub(super) enum HeaderValues {
    One(String),
    Several(Vec<String>),
}

/// Decodes a header value as ISO 8859-1. HTTP doesn't promise UTF-8, and this charset
/// has a character for every byte, so it can't fail.
pub(super) fn text(value: &[u8]) -> String {
    value.iter().copied().map(char::from).collect()
}

impl From<Vec<String>> for HeaderValues {
    fn from(mut values: Vec<String>) -> Self {
        if values.len() == 1 {
            Self::One(values.remove(0))
        } else {
            Self::Several(values)
        }
    }
}

impl From<HeaderValues> for Vec<String> {
    fn from(values: HeaderValues) -> Self {
        match values {
            HeaderValues::One(value) => vec![value],
            HeaderValues::Several(values) => values,
        }
    }
}
