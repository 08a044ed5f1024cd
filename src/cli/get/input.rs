//! The list: arguments, then lines of a file or of standard input, read as a
//! stream.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use fetchd::client::Request;
use serde::Deserialize;
use tokio::{
    fs::File,
    io::{self, AsyncBufRead, AsyncBufReadExt, BufReader},
};

use super::Args;

/// The list, as far as it is not read.
pub(super) struct Input {
    args: Args,
    urls: std::vec::IntoIter<String>,
    lines: Option<Lines>,
}

/// Lines of a file.
struct Lines {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    name: String,
    number: u64,
    /// What of the next line has come.
    partial: Vec<u8>,
}

/// A line of JSON.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    body: Option<String>,
}

/// One header value, or several lines of the same name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

impl Input {
    /// Opens what `args` name.
    pub(super) async fn open(args: &Args) -> anyhow::Result<Self> {
        let lines = match args.input.as_deref() {
            Some(path) => Some(Lines::open(path).await?),
            None => None,
        };
        Ok(Self {
            urls: args.urls.clone().into_iter(),
            lines,
            args: args.clone(),
        })
    }

    /// The next URL and its request, or `None` at the end. A line that makes no
    /// request is there as one that cannot be sent.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<(String, Request)>> {
        if let Some(url) = self.urls.next() {
            let request = self.request(Line::of(&url));
            return Ok(Some((url, request)));
        }
        while let Some(lines) = &mut self.lines {
            let Some(line) = lines.next().await? else {
                self.lines = None;
                break;
            };
            match parsed(&line) {
                Ok(None) => {}
                Ok(Some(line)) => return Ok(Some((line.url.clone(), self.request(line)))),
                Err(problem) => {
                    let problem = format!("{}, line {}: {problem}", lines.name, lines.number);
                    return Ok(Some((String::new(), Request::unsendable(problem))));
                }
            }
        }
        Ok(None)
    }

    /// The request of `line`, with what the arguments say besides.
    fn request(&self, line: Line) -> Request {
        let args = &self.args;
        let usual = if args.data.is_some() { "POST" } else { "GET" };
        let method = line.method.as_deref().or(args.method.as_deref());
        let mut request = Request::new(method.unwrap_or(usual), line.url);
        for (name, value) in &args.headers {
            if !line
                .headers
                .keys()
                .any(|own| own.eq_ignore_ascii_case(name))
            {
                request = request.header(name, value.clone());
            }
        }
        for (name, values) in line.headers {
            let values = match values {
                Values::One(value) => vec![value],
                Values::Several(values) => values,
            };
            for value in values {
                request = request.header(&name, value);
            }
        }
        if let Some(body) = line.body.or_else(|| args.data.clone()) {
            request = request.body(body);
        }
        if let Some(timeout) = args.timeout {
            request = request.timeout(timeout);
        }
        if let Some(attempts) = args.max_attempts {
            request = request.max_attempts(attempts);
        }
        request
    }
}

impl Lines {
    async fn open(path: &Path) -> anyhow::Result<Self> {
        let (reader, name): (Box<dyn AsyncBufRead + Unpin + Send>, _) = if path == Path::new("-") {
            (
                Box::new(BufReader::new(io::stdin())),
                "standard input".to_owned(),
            )
        } else {
            let name = path.display().to_string();
            let file = File::open(path)
                .await
                .with_context(|| format!("opening {name}"))?;
            (Box::new(BufReader::new(file)), name)
        };
        Ok(Self {
            reader,
            name,
            number: 0,
            partial: Vec::new(),
        })
    }

    /// The next line, or `None` at the end. Cancel-safe: what has come of a
    /// line is kept.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let read = self.reader.read_until(b'\n', &mut self.partial).await;
        read.with_context(|| format!("reading {}", self.name))?;
        self.number += 1;
        let line = std::mem::take(&mut self.partial);
        Ok((!line.is_empty()).then_some(line))
    }
}

impl Line {
    fn of(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..Self::default()
        }
    }
}

/// A URL or an object; `None` for a blank line or a comment.
fn parsed(line: &[u8]) -> Result<Option<Line>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    match line.trim() {
        "" => Ok(None),
        comment if comment.starts_with('#') => Ok(None),
        object if object.starts_with('{') => {
            let line = serde_json::from_str(object);
            line.map(Some)
                .map_err(|error| format!("is no request: {error}"))
        }
        url => Ok(Some(Line::of(url))),
    }
}
