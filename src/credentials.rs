//! User and password of a URL, as Basic authorization (RFC 7617).

use http::HeaderValue;
use url::Url;

/// Removes user and password from `url`, an `http` or `https` one.
pub(crate) fn take_authorization(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut credentials = decoded(url.username());
    credentials.push(b':');
    credentials.extend(decoded(url.password().unwrap_or_default()));

    url.set_username("")
        .and_then(|()| url.set_password(None))
        .expect("an http URL has a host, so its user info can be removed");
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, credentials);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .expect("base64 is made of visible characters");
    // Kept out of what is printed; also tells it from one that the caller sets.
    value.set_sensitive(true);
    Some(value)
}
