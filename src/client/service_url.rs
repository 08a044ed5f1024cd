//! The URL of a service.

use http::Uri;

/// Describes a valid URL, for error messages.
pub const EXPECTED_URL: &str =
    "expected a URL such as http://localhost:50051 or https://fetchd.example";

/// Parses the URL of a service. Returns `None` if it isn't one.
pub fn parse_service_url(text: &str) -> Option<Uri> {
    let url = text.parse::<Uri>().ok()?;
    let has_scheme = matches!(url.scheme_str(), Some("http" | "https"));
    (has_scheme && has_valid_port(&url)?).then_some(url)
}

/// Returns true if the URL has a valid port or none. `http` treats a port that's too high
/// as none, and we would connect to the default one, where something else may listen.
fn has_valid_port(url: &Uri) -> Option<bool> {
    let authority = url.authority()?;
    let host_and_port = authority.as_str().rsplit('@').next()?;
    let port = host_and_port.strip_prefix(authority.host())?;
    Some(port.is_empty() || authority.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_has_a_scheme_a_host_and_maybe_a_port() {
        for (text, is_valid) in [
            ("http://localhost:50051", true),
            ("https://fetchd.example", true),
            ("http://user:secret@[::1]:50051/", true),
            ("http://[::1]", true),
            ("http://localhost:99999", false),
            ("http://localhost:", false),
            ("http://localhost:a", false),
            ("localhost:50051", false),
            ("grpc://localhost:50051", false),
            ("", false),
        ] {
            assert_eq!(parse_service_url(text).is_some(), is_valid, "{text}");
        }
    }
}
