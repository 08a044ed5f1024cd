//! The user name and password of a URL, as Basic authorization (RFC 7617).

use http::HeaderValue;
use url::Url;

/// Removes the user name and password from `url`, whose scheme must be `http` or
/// `https`, and returns them as the value of an `authorization` header.
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
    // Hides the value in debug output, and tells it from a header of the caller.
    value.set_sensitive(true);
    Some(value)
}
