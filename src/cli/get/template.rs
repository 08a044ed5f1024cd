//! What the arguments say about all requests.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use fetchd::client::Request;

use super::{args, input::Entry};
use crate::cli::parse::{self, Data};

/// The parts of a request that an input line may leave out.
pub(super) struct Template {
    args: args::Requests,
    /// The lines of `--header` and `--header-file`.
    headers: Vec<(String, String)>,
    /// The content of `--data`.
    data: Option<Bytes>,
}

/// Max size of a file of data or header lines. No service accepts a larger message by default, and
/// without a limit, we'd never get to the end of some devices.
const MAX_FILE: u64 = 1 << 30;

/// The type of a `--data` body, unless a header sets it. It's the one that curl uses.
const DATA_TYPE: &str = "application/x-www-form-urlencoded";

const CONTENT_TYPE: &str = "content-type";

impl Template {
    /// Reads the files that the arguments name.
    pub(super) fn load(args: &args::Requests) -> anyhow::Result<Self> {
        let mut headers = args.headers.clone();
        for path in &args.header_files {
            headers.extend(read_headers(path)?);
        }
        let data = match &args.data {
            Some(data) => Some(read_data(data)?),
            None => None,
        };
        Ok(Self {
            args: args.clone(),
            headers,
            data,
        })
    }

    /// Completes `entry` to a request.
    pub(super) fn request(&self, entry: Entry) -> Request {
        let default_method = if self.data.is_some() { "POST" } else { "GET" };
        let method = entry.method.as_deref().or(self.args.method.as_deref());
        let mut request = Request::new(method.unwrap_or(default_method), &entry.url);
        let data = self.data.as_ref().filter(|_| entry.body.is_none());
        if data.is_some() && !self.has_header(CONTENT_TYPE) && !entry.has_header(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, DATA_TYPE);
        }
        for (name, value) in &self.headers {
            if !entry.has_header(name) {
                request = request.header(name, value.clone());
            }
        }
        for (name, values) in entry.headers {
            for value in Vec::from(values) {
                request = request.header(&name, value);
            }
        }
        if let Some(body) = entry.body.map(Bytes::from).or_else(|| data.cloned()) {
            request = request.body(body);
        }
        self.with_options(request)
    }

    fn with_options(&self, mut request: Request) -> Request {
        let args = &self.args;
        if let Some(timeout) = args.timeout {
            request = request.timeout(timeout);
        }
        if let Some(timeout) = args.connect_timeout {
            request = request.connect_timeout(timeout);
        }
        if let Some(timeout) = args.idle_timeout {
            request = request.idle_timeout(timeout);
        }
        if let Some(attempts) = args.max_attempts {
            request = request.max_attempts(attempts);
        }
        if let Some(redirects) = args.max_redirects {
            request = request.max_redirects(redirects);
        }
        if let Some(size) = args.max_body {
            request = request.max_body_bytes(size);
        }
        if args.truncate {
            request = request.truncate_body();
        }
        request
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(own, _)| own.eq_ignore_ascii_case(name))
    }
}

/// Reads a file of header lines. Blank lines and comments are skipped. Error messages
/// don't contain the lines, which may be secret.
fn read_headers(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    const FLAG: &str = "--header-file";

    let name = path.display().to_string();
    let bytes = read_file(FLAG, path, &name)?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        bail!("{FLAG}: expected UTF-8 in {name}");
    };
    let mut headers = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse::header(line) {
            Ok(header) => headers.push(header),
            Err(expected) => bail!("{FLAG}: {name}, line {}: {expected}", index + 1),
        }
    }
    Ok(headers)
}

fn read_data(data: &Data) -> anyhow::Result<Bytes> {
    const FLAG: &str = "--data";

    match data {
        Data::Text(text) => Ok(text.clone().into()),
        Data::Stdin => read_all(FLAG, io::stdin().lock(), "standard input"),
        Data::File(path) => read_file(FLAG, path, &path.display().to_string()),
    }
}

fn read_file(flag: &str, path: &Path, name: &str) -> anyhow::Result<Bytes> {
    let file = File::open(path).with_context(|| format!("{flag}: cannot open {name}"))?;
    read_all(flag, file, name)
}

fn read_all(flag: &str, reader: impl Read, name: &str) -> anyhow::Result<Bytes> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_FILE + 1).read_to_end(&mut bytes);
    let read = read.with_context(|| format!("{flag}: cannot read {name}"))?;
    if read as u64 > MAX_FILE {
        bail!("{flag}: expected at most 1 GiB, {name} has more");
    }
    Ok(bytes.into())
}
