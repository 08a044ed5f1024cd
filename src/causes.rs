//! Formats an error together with its causes.

use std::error::Error;

/// Returns the messages of `error` and all of its causes, joined by colons. We skip a
/// cause if the text already ends with it, since many errors include their cause in the
/// message.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in chain(error).skip(1) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Iterates over `error` and its causes, down to the root cause.
pub(crate) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
