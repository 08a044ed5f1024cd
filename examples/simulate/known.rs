//! Seeds that have found something. They're run before all others.

/// A seed, and what it has found.
pub(crate) type Known = (u64, &'static str);

/// A change of `scenario` or `fault` gives seeds another meaning. Then
/// `tests/simulation/mutations.py` undoes each fix, and finds new ones.
pub(crate) const KNOWN: [Known; 3] = [
    (
        123,
        "a list had more in flight than it wants once its only replica drained",
    ),
    (
        1_124,
        "the error of a deadline didn't say that a POST may have reached its origin",
    ),
    (1_675, "the error of a call that was cut didn't say so"),
];
