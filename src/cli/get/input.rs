//! The input list. URLs from the arguments come first, then the lines of a file or
//! stdin. We read the latter as a stream.

mod entry;
mod lines;

use fetchd::client::Request;

use super::Args;
use entry::Entry;
use lines::Lines;

/// The part of the input list that we haven't read yet.
pub(super) struct Input {
    args: Args,
    urls: std::vec::IntoIter<String>,
    lines: Option<Lines>,
}

impl Input {
    /// Opens the input given in `args`.
    pub(super) async fn open(args: &Args) -> anyhow::Result<Self> {
        let lines = match &args.input {
            Some(path) => Some(Lines::open(path).await?),
            None => None,
        };
        Ok(Self {
            urls: args.urls.clone().into_iter(),
            lines,
            args: args.clone(),
        })
    }

    /// Returns the next request and its URL, or `None` at the end.
    ///
    /// If a line isn't a valid request, we return an unsendable request instead of
    /// failing. Its error then shows up in the output like any other. Cancel-safe.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<(String, Request)>> {
        if let Some(url) = self.urls.next() {
            let request = self.request(Entry::from_url(&url));
            return Ok(Some((url, request)));
        }
        while let Some(lines) = &mut self.lines {
            let Some(line) = lines.next().await? else {
                self.lines = None;
                break;
            };
            match Entry::parse(&line) {
                Ok(None) => {}
                Ok(Some(entry)) => return Ok(Some((entry.url.clone(), self.request(entry)))),
                Err(message) => {
                    let message = format!("{}: {message}", lines.position());
                    return Ok(Some((String::new(), Request::unsendable(message))));
                }
            }
        }
        Ok(None)
    }

    /// Turns `entry` into a request. The arguments supply its defaults.
    fn request(&self, entry: Entry) -> Request {
        let args = &self.args;
        let default_method = if args.data.is_some() { "POST" } else { "GET" };
        let method = entry.method.as_deref().or(args.method.as_deref());
        let mut request = Request::new(method.unwrap_or(default_method), &entry.url);
        for (name, value) in &args.headers {
            if !entry.has_header(name) {
                request = request.header(name, value.clone());
            }
        }
        for (name, values) in entry.headers {
            for value in Vec::from(values) {
                request = request.header(&name, value);
            }
        }
        if let Some(body) = entry.body.or_else(|| args.data.clone()) {
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
