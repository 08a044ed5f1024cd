//! Cuts secrets from URLs that we print.

use std::borrow::Cow;

use url::Url;

/// Returns `url` without user name and password.
///
/// If it isn't a valid URL, we can't tell where they end, so we cut everything up to the
/// last `@`.
pub(super) fn without_credentials(url: &str) -> Cow<'_, str> {
    if !url.contains('@') {
        return url.into();
    }
    // `user:password@host` is a URL too, but one without a host.
    let Some(mut parsed) = Url::parse(url).ok().filter(Url::has_host) else {
        let start = url.rfind('@').map_or(0, |at| at + 1);
        return url[start..].into();
    };
    if parsed.username().is_empty() && parsed.password().is_none() {
        return url.into();
    }
    // These can't fail, since the URL has credentials.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    String::from(parsed).into()
}

/// Returns `url` without user name, password, query string and fragment.
pub(super) fn redacted(url: &str) -> Cow<'_, str> {
    let url = without_credentials(url);
    match url.find(['?', '#']) {
        Some(end) => url[..end].to_owned().into(),
        None => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_are_cut() {
        for (url, whole, short) in [
            ("http://a.example", "http://a.example", "http://a.example"),
            (
                "http://user:pw@a.example/p@?q@#f@",
                "http://a.example/p@?q@#f@",
                "http://a.example/p@",
            ),
            (
                "http://a.example/@user?q",
                "http://a.example/@user?q",
                "http://a.example/@user",
            ),
            (
                "http:\\\\user:pw@a.example",
                "http://a.example/",
                "http://a.example/",
            ),
            (
                "http://user:p#w@a.example:x/",
                "a.example:x/",
                "a.example:x/",
            ),
            ("user:pw@a.example", "a.example", "a.example"),
        ] {
            assert_eq!(without_credentials(url), whole);
            assert_eq!(redacted(url), short);
        }
    }
}
