//! Writes a page that shows the list (`--report`): one HTML file with everything in it.
//!
//! The rows come first, as JSON in a block of data, and the summary after them. So no row
//! has to stay in memory.

mod digest;

use std::{path::Path, time::SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_STANDARD, Engine};
use fetchd::client::{Error, Outcome};
use serde::Serialize;

use super::{
    final_url::final_url,
    new_file::NewFile,
    phases::{Phases, micros},
    summary::{Remaining, Summary},
};
use crate::cli::redact::without_credentials;
use digest::Digest;

/// The page.
pub(super) struct Report {
    file: NewFile,
    /// When the list began.
    began: SystemTime,
    /// Number of rows in the page.
    rows: u64,
}

/// Max rows in the page, so that browsers can open it. The summary counts all requests.
const MAX_ROWS: u64 = 100_000;

const PAGE: &str = include_str!("report/page.html");
const STYLE: &str = include_str!("report/page.css");
const SCRIPT: &str = concat!(
    include_str!("report/data.js"),
    include_str!("report/summary.js"),
    include_str!("report/waterfall.js"),
);

// Where these go in the page. Data can't have any of them, since it has no `<`.
const POLICY_MARK: &str = "<!-- policy -->";
const STYLE_MARK: &str = "<!-- style -->";
const ROWS_MARK: &str = "<!-- rows -->";
const DIGEST_MARK: &str = "<!-- digest -->";
const SCRIPT_MARK: &str = "<!-- script -->";

/// A request in the page. Times are in microseconds.
#[derive(Serialize)]
struct Row<'a> {
    index: usize,
    url: &'a str,
    /// Since the beginning of the list.
    start: u64,
    #[serde(flatten)]
    phases: Phases,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    size: usize,
    attempts: u32,
    #[serde(skip_serializing_if = "is_zero")]
    redirects: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_url: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reused: bool,
}

impl Report {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut file = NewFile::create("--report", path)?;
        let (head, _) = parts();
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT),
        );
        let head = head
            .replace(POLICY_MARK, &policy)
            .replace(STYLE_MARK, STYLE);
        file.append(head.as_bytes())?;
        file.append(b"[")?;
        Ok(Self {
            file,
            began: SystemTime::now(),
            rows: 0,
        })
    }

    /// Adds a row for the outcome of a request to `url`.
    pub(super) fn add(&mut self, url: &str, outcome: &Outcome) -> anyhow::Result<()> {
        if self.rows == MAX_ROWS {
            return Ok(());
        }
        let separator: &[u8] = if self.rows == 0 { b"\n" } else { b",\n" };
        self.rows += 1;
        self.file.append(separator)?;
        let phases = Phases::of(url, outcome, self.began);
        let end = outcome.ended.duration_since(self.began);
        let (stats, response) = (&outcome.stats, outcome.response.as_ref());
        let row = Row {
            index: outcome.index,
            url: &without_credentials(url),
            start: end.map_or(0, micros).saturating_sub(phases.sum()),
            phases,
            status: response.map(|response| response.status.as_u16()),
            reason: outcome.error.as_ref().map(Error::name),
            message: outcome.error.as_ref().map(Error::to_string),
            size: response.map_or(0, |response| response.body.len()),
            attempts: stats.attempts,
            redirects: stats.redirects,
            final_url: final_url(url, outcome),
            reused: stats.connection_reused,
        };
        self.file.append(data(&row)?.as_bytes())
    }

    /// Completes the page. `call_error` is set if the call failed as a whole.
    pub(super) fn finish(
        mut self,
        summary: &Summary,
        remaining: Remaining,
        call_error: Option<&Error>,
    ) -> anyhow::Result<()> {
        let digest = Digest::new(self.began, self.rows, summary, remaining, call_error);
        let (_, tail) = parts();
        let tail = tail
            .replace(DIGEST_MARK, &data(&digest)?)
            .replace(SCRIPT_MARK, SCRIPT);
        self.file.append(b"\n]")?;
        self.file.append(tail.as_bytes())?;
        self.file.finish()
    }
}

/// Returns the page before the rows, and after them.
fn parts() -> (&'static str, &'static str) {
    PAGE.split_once(ROWS_MARK)
        .expect("the page has a place for the rows")
}

/// Returns `value` as JSON for a `script` element. Without a `<`, the element can't end in
/// it. In JSON, one can only be in a string, so it may be escaped.
fn data(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?.replace('<', "\\u003c"))
}

/// Returns the source of a content security policy that allows exactly this text.
fn hash(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_in_the_page_once() {
        for mark in [POLICY_MARK, STYLE_MARK, ROWS_MARK, DIGEST_MARK, SCRIPT_MARK] {
            assert_eq!(PAGE.matches(mark).count(), 1, "{mark}");
            assert!(!STYLE.contains(mark) && !SCRIPT.contains(mark), "{mark}");
        }
    }

    #[test]
    fn data_cannot_end_its_element() {
        let hostile = "</script><!-- script --><script>alert(1)</script>";
        let text = data(&hostile).unwrap();
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
