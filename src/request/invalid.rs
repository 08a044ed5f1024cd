//! The error for requests that can't be sent.

/// A request can't be sent because there's a problem with one of its fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub(crate) struct InvalidRequest {
    /// The field's name in the contract.
    pub field: &'static str,
    /// What's wrong with the field, and what would be accepted.
    pub problem: String,
}

impl InvalidRequest {
    /// Creates the error for a `problem` in `field`.
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

/// Returns the first part of `text`, escaped so that it can be used in an error message.
pub(super) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 64;

    let start = text.chars().take(MAX_CHARS);
    let mut excerpt: String = start.flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
}
