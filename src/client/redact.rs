//! Makes URLs safe for error messages.

use url::Url;

/// Returns `url` without credentials, query string and fragment.
///
/// This also works if `url` isn't a valid URL. In that case we cut everything that could
/// be one of the three. If a `?` or `#` comes before an `@`, we can't tell whether it
/// belongs to the credentials, so we show nothing.
pub(super) fn redacted(url: &str) -> String {
    if let Ok(mut parsed) = Url::parse(url)
        && parsed.set_username("").is_ok()
        && parsed.set_password(None).is_ok()
    {
        parsed.set_query(None);
        parsed.set_fragment(None);
        return parsed.into();
    }
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let start = url.rfind('@').map_or(0, |at| at + 1);
    url.get(start..end).unwrap_or("<redacted>").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_from_valid_and_invalid_urls() {
        for (url, shown) in [
            (
                "https://user:pw@a.example/@path?key#part",
                "https://a.example/@path",
            ),
            ("http://a.example:8080", "http://a.example:8080/"),
            ("http://user:p/w@a.example/", "a.example/"),
            ("user:pw@a.example:50051?key", "a.example:50051"),
            ("http://user:p#w@a.example/", "<redacted>"),
            ("http://user:p?w@a.example:x/", "<redacted>"),
            ("nonsense?key=a@b", "<redacted>"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
