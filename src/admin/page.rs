//! The admin page: one HTML document with its style and its script inside.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::HeaderValue;

/// The page, and a policy that only allows its own style and script.
pub(super) struct Page {
    pub(super) html: Bytes,
    /// The value of `Content-Security-Policy`.
    pub(super) policy: HeaderValue,
}

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = concat!(
    include_str!("page/page.css"),
    include_str!("page/plots.css"),
    include_str!("page/tables.css"),
    // Its rules override the others.
    include_str!("page/narrow.css"),
);
const SCRIPT: &str = concat!(include_str!("page/page.js"), include_str!("page/plots.js"));

pub(super) static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
    html: HTML
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .into(),
    policy: HeaderValue::try_from(format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT),
    ))
    .expect("hashes in base64 are visible ASCII"),
});

/// Returns the source expression that allows exactly `text`.
fn source(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}
