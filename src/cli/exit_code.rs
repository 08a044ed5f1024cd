//! Exit codes other than 0.

/// A request failed, or the command itself did.
pub(super) const FAILED: u8 = 1;
/// We can't use the arguments or the input.
pub(super) const USAGE: u8 = 2;
/// The call failed as a whole and we have no results.
pub(super) const CALL_FAILED: u8 = 3;
/// Ctrl-C. This is 128 + SIGINT, as in a shell.
pub(super) const INTERRUPTED: u8 = 130;
/// SIGTERM. This is 128 + SIGTERM.
pub(super) const TERMINATED: u8 = 143;
/// Whoever read our stdout closed it. This is 128 + SIGPIPE, as in a shell.
pub(super) const BROKEN_PIPE: u8 = 141;
