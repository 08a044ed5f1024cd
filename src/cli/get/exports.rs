//! The files that show a list to people and to other programs: `--report` and `--har`.

use anyhow::bail;
use fetchd::client::{Error, Outcome};

use super::{
    Args,
    har::Har,
    new_file::is_same,
    pending::Entry,
    report::Report,
    summary::{Remaining, Summary},
};

/// The files that the arguments name.
pub(super) struct Exports {
    report: Option<Report>,
    har: Option<Har>,
}

impl Exports {
    /// Creates the files. The list must not have begun yet.
    pub(super) fn create(args: &Args) -> anyhow::Result<Self> {
        check(args)?;
        let (report, har) = (&args.results.report, &args.results.har);
        Ok(Self {
            report: report.as_deref().map(Report::create).transpose()?,
            har: har.as_deref().map(Har::create).transpose()?,
        })
    }

    /// Returns true if we have to know how each request was sent.
    pub(super) fn need_requests(&self) -> bool {
        self.har.is_some()
    }

    /// Adds the outcome of the request `entry`.
    pub(super) fn add(&mut self, entry: &Entry, outcome: &Outcome) -> anyhow::Result<()> {
        if let Some(report) = &mut self.report {
            report.add(&entry.url, outcome)?;
        }
        if let Some(har) = &mut self.har {
            har.add(entry, outcome)?;
        }
        Ok(())
    }

    /// Completes the files. `call_error` is set if the call failed as a whole.
    pub(super) fn finish(
        &mut self,
        summary: &Summary,
        remaining: Remaining,
        call_error: Option<&Error>,
    ) -> anyhow::Result<()> {
        let report = self.report.take();
        let report = report.map_or(Ok(()), |report| {
            report.finish(summary, remaining, call_error)
        });
        let har = self.har.take();
        har.map_or(Ok(()), |har| har.finish(call_error))?;
        report
    }
}

/// Checks that no file would replace another one, or the input.
fn check(args: &Args) -> anyhow::Result<()> {
    let results = &args.results;
    let files = [
        ("--report", &results.report),
        ("--har", &results.har),
        ("--failures", &results.failures),
        ("--input", &args.input),
    ];
    for (index, (flag, path)) in files.iter().enumerate().take(2) {
        for (other_flag, other) in &files[index + 1..] {
            if let (Some(path), Some(other)) = (path, other)
                && is_same(path, other)
            {
                let path = path.display();
                bail!("{flag}: expected another file than that of {other_flag}, got {path}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use fetchd::{client::Request, config::Config};

    use super::*;
    use crate::cli::get::embedded;

    /// Returns an outcome without a network.
    fn outcome() -> Outcome {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = embedded::client(Config::default()).unwrap();
            let mut outcomes = client.fetch(["http://10.0.0.1/"]).outcomes();
            futures_util::StreamExt::next(&mut outcomes).await.unwrap()
        })
    }

    #[test]
    fn memory_does_not_grow_with_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let create = |name: &str| folder.path().join(name);
        let mut exports = Exports {
            report: Some(Report::create(&create("page")).unwrap()),
            har: Some(Har::create(&create("archive")).unwrap()),
        };
        let entry = Entry {
            line: Vec::new(),
            id: None,
            url: "http://10.0.0.1/".to_owned(),
            file: None,
            request: Some(Request::get("http://10.0.0.1/")),
        };
        let outcome = outcome();
        let mut add = |count| {
            measure(|| {
                for _ in 0..count {
                    exports.add(&entry, &outcome).unwrap();
                }
            })
        };
        add(10);
        let many = add(10_000);
        assert_eq!(many.bytes_current, 0);
        assert!(many.bytes_max < 16 << 10, "{} bytes", many.bytes_max);
    }
}
