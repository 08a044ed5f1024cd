//! An error and what caused it.

use std::error::Error;

/// The error and its causes, one after another, each said once.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    chain(error).skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            text
        } else {
            text + ": " + &cause
        }
    })
}

/// The error, what caused it, what caused that.
pub(crate) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
