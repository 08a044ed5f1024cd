//! Texts in spans: they're short, and have no secrets.

use http::Uri;

/// Longer texts are cut off, in bytes. This limits how much memory a span takes.
const MAX_TEXT: usize = 1024;

/// The same for a text in an event, of which a span may have many.
const MAX_EVENT_TEXT: usize = 256;

/// Returns `uri` without its query. A [`Uri`] of ours has neither user info nor fragment.
pub(super) fn url(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    clipped(format!("{scheme}://{host}{}", uri.path()))
}

/// Cuts `text` off at the limit of an attribute.
pub(super) fn clipped(text: String) -> String {
    cut(text, MAX_TEXT)
}

/// Cuts `text` off at the limit of an event.
pub(super) fn event(text: String) -> String {
    cut(text, MAX_EVENT_TEXT)
}

fn cut(mut text: String, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_no_user_info_and_no_query() {
        for (full, shown) in [
            ("http://a.example/p/q?secret=1", "http://a.example/p/q"),
            ("https://user:pw@a.example:81/", "https://a.example:81/"),
            ("http://[::1]:80/?x", "http://[::1]:80/"),
        ] {
            assert_eq!(url(&full.parse().unwrap()), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(clipped("short".to_owned()), "short");
        let long = clipped("é".repeat(MAX_TEXT) + "!");
        assert!(long.len() <= MAX_TEXT && long.chars().all(|char| char == 'é'));
        let odd = clipped("x".to_owned() + &"é".repeat(MAX_TEXT));
        assert_eq!(odd.len(), MAX_TEXT - 1);
        assert_eq!(event("x".repeat(MAX_TEXT)).len(), 256);
    }
}
