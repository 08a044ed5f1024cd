//! Why a request cannot be sent.

/// The error of a request that cannot be sent: the field, and its problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub(crate) struct InvalidRequest {
    /// The field of the request, as the contract names it.
    pub field: &'static str,
    /// What is wrong with the field, and which values are accepted.
    pub problem: String,
}

impl InvalidRequest {
    /// Creates the error of a request with a `problem` in `field`.
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

/// Returns the start of `text`, escaped for an error message.
pub(super) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 64;

    let start = text.chars().take(MAX_CHARS);
    let mut excerpt: String = start.flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
}
