//! The URL that responded after redirects.

use fetchd::client::Outcome;
use url::Url;

/// Returns the URL that responded to a request for `url`, if it's a different one. Without
/// a redirect, the URLs only differ in spelling, so that doesn't count.
pub(super) fn final_url<'a>(url: &str, outcome: &'a Outcome) -> Option<&'a str> {
    let response = outcome.response.as_ref();
    let responded = &response.filter(|_| outcome.stats.redirects > 0)?.url;
    let mut requested = Url::parse(url).ok()?;
    requested.set_fragment(None);
    // These fail if the URL can't have credentials, and then there's nothing to remove.
    let _ = requested.set_username("");
    let _ = requested.set_password(None);
    (*responded != requested).then_some(responded.as_str())
}
