//! Turns the user name and password in a URL into Basic authorization (RFC 7617).

use http::HeaderValue;
use url::Url;

/// Removes the user name and password from `url`, and returns them as a value for the
/// `authorization` header. The scheme must be `http` or `https`.
pub(crate) fn take_authorization(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut credentials = decode(url.username());
    credentials.push(b':');
    credentials.extend(decode(url.password().unwrap_or_default()));

    url.set_username("")
        .and_then(|()| url.set_password(None))
        .expect("an http URL has a host, so its user info can be removed");
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, credentials);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .expect("base64 consists of visible characters");
    // This hides the value in debug output. It also lets us tell it apart from a header
    // that the caller has set.
    value.set_sensitive(true);
    Some(value)
}
