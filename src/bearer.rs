//! Bearer tokens (RFC 6750), as clients send them and servers know them.

/// Describes a valid token, for error messages.
pub(crate) const EXPECTED: &str = "a token of up to 4096 visible ASCII characters";

/// The maximum length of a token, in bytes.
const MAX_LENGTH: usize = 4096;

/// Returns true if `token` is valid.
pub(crate) fn is_valid(token: &str) -> bool {
    let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
    is_visible && (1..=MAX_LENGTH).contains(&token.len())
}
