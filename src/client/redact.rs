//! Makes URLs safe for error messages.

use url::Url;

/// Returns `url` without credentials, query string and fragment.
///
/// This also works if `url` isn't a valid URL. In that case we cut everything that could
/// be one of the three.
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
    let shown = &url[..end];
    let host_and_path = shown.rsplit_once('@').map(|(_, rest)| rest);
    host_and_path.unwrap_or(shown).to_owned()
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
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
