//! Seeds that have found something. They're run before all others.

/// A seed, and what it has found.
pub(crate) type Known = (u64, &'static str);

/// A change of `scenario` or `fault` gives seeds another meaning. Then
/// `tests/simulation/mutations.py` undoes each fix, and finds new ones.
pub(crate) const KNOWN: [Known; 0] = [];
