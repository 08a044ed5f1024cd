//! The exit codes besides 0.

/// At least one request failed, or the command itself did.
pub(super) const FAILED: u8 = 1;
/// The arguments or the input cannot be used.
pub(super) const USAGE: u8 = 2;
/// The call failed as a whole, without any result.
pub(super) const CALL_FAILED: u8 = 3;
/// Ctrl-C: shells report 128 + SIGINT.
pub(super) const INTERRUPTED: u8 = 130;
/// The reader closed standard output: shells report 128 + SIGPIPE.
pub(super) const BROKEN_PIPE: u8 = 141;
