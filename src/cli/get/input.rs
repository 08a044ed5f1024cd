//! The input list. URLs from the arguments come first, then the lines of a file or
//! stdin. We read the latter as a stream.

mod entry;
mod lines;

use fetchd::client::Request;
use serde_json::{json, value::RawValue};

use super::{Args, template::Template};
pub(super) use entry::Entry;
use lines::Lines;

/// The part of the input list that we haven't read yet.
pub(super) struct Input {
    template: Template,
    urls: std::vec::IntoIter<String>,
    lines: Option<Lines>,
}

/// A request, and what the input says about it.
pub(super) struct Item {
    /// The line as it was, without the line break.
    pub(super) line: Vec<u8>,
    pub(super) id: Option<Box<RawValue>>,
    /// Empty if the line has none.
    pub(super) url: String,
    pub(super) request: Request,
}

impl Input {
    /// Opens the input given in `args`.
    pub(super) async fn open(args: &Args) -> anyhow::Result<Self> {
        let template = Template::load(&args.requests)?;
        let lines = match &args.input {
            Some(path) => Some(Lines::open(path).await?),
            None => None,
        };
        Ok(Self {
            template,
            urls: args.urls.clone().into_iter(),
            lines,
        })
    }

    /// Returns the number of remaining requests. `None` if we'd have to wait for it,
    /// because the lines don't come from a file.
    pub(super) async fn count(&self) -> Option<u64> {
        let lines = match &self.lines {
            Some(lines) => lines.count(Entry::is_blank).await?,
            None => 0,
        };
        Some(self.urls.len() as u64 + lines)
    }

    /// Returns true if we can read to the end without waiting for anyone.
    pub(super) fn is_file(&self) -> bool {
        self.lines.as_ref().is_none_or(Lines::is_file)
    }

    /// Returns the next request, or `None` at the end.
    ///
    /// If a line isn't a valid request, we return an unsendable request instead of
    /// failing. Its error then shows up in the output like any other. Cancel-safe.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Item>> {
        if let Some(url) = self.urls.next() {
            return Ok(Some(self.item(line_of(&url), Entry::from_url(&url))));
        }
        while let Some(lines) = &mut self.lines {
            let Some(line) = lines.next().await? else {
                self.lines = None;
                break;
            };
            if Entry::is_blank(&line) {
                continue;
            }
            match Entry::parse(&line) {
                Ok(entry) => return Ok(Some(self.item(line, entry))),
                Err(invalid) => {
                    let message = format!("{}: {}", lines.position(), invalid.message);
                    return Ok(Some(Item {
                        line,
                        id: invalid.id,
                        url: invalid.url,
                        request: Request::unsendable(message),
                    }));
                }
            }
        }
        Ok(None)
    }

    fn item(&self, line: Vec<u8>, mut entry: Entry) -> Item {
        Item {
            line,
            id: entry.id.take(),
            url: entry.url.clone(),
            request: self.template.request(entry),
        }
    }
}

/// Returns an input line for a URL of the arguments.
fn line_of(url: &str) -> Vec<u8> {
    let is_same = Entry::parse(url.as_bytes()).is_ok_and(|entry| entry.url == url);
    let is_line = is_same && !Entry::is_blank(url.as_bytes()) && !url.contains(['\n', '\r']);
    if is_line {
        url.into()
    } else {
        json!({ "url": url }).to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_urls_mean_the_same_urls() {
        for url in ["http://a.example/", "# a", "{a}", " a ", "a\nb", ""] {
            let line = line_of(url);
            assert!(!Entry::is_blank(&line) && !line.contains(&b'\n'), "{url}");
            assert_eq!(Entry::parse(&line).unwrap(), Entry::from_url(url));
        }
        assert_eq!(line_of("http://a.example/"), b"http://a.example/");
    }
}
