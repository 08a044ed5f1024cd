//! The arguments.

use std::path::PathBuf;

use crate::BoxError;

/// The arguments of a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// How many fetches to finish. Default: 1,000,000.
    pub(crate) fetches: u64,
    /// Where to draw the figures. Default: nowhere.
    pub(crate) plot: Option<PathBuf>,
}

const USAGE: &str = "usage: soak [--fetches COUNT] [--plot FILE.svg]";

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// Fails if an argument is unknown, lacks its value or has a wrong one.
    pub(crate) fn parse(arguments: Vec<String>) -> Result<Self, BoxError> {
        let mut options = Self {
            fetches: 1_000_000,
            plot: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument}: expected a value; {USAGE}"))
            };
            match argument.as_str() {
                "--fetches" => {
                    let value = value()?;
                    let count = value.replace(['_', ','], "").parse().ok();
                    options.fetches = count.filter(|count| *count > 0).ok_or_else(|| {
                        format!("--fetches: expected a number above 0, got {value:?}")
                    })?;
                }
                "--plot" => options.plot = Some(value()?.into()),
                _ => return Err(format!("unknown argument {argument:?}; {USAGE}").into()),
            }
        }
        Ok(options)
    }
}

/// Writes a number with commas, such as 1,000,000.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Options::parse(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_read() {
        let options = parse(&["--plot", "a.svg", "--fetches", "10,000"]).unwrap();
        let (fetches, plot) = (10_000, Some("a.svg".into()));
        assert_eq!(options, Options { fetches, plot });
        assert_eq!(parse(&[]).unwrap().fetches, 1_000_000);
    }

    #[test]
    fn wrong_arguments_are_explained() {
        for (arguments, expected) in [
            (
                &["--fetches", "0"][..],
                "--fetches: expected a number above 0, got \"0\"",
            ),
            (&["--plot"], "--plot: expected a value"),
            (&["30"], "unknown argument \"30\""),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn thousands_are_separated() {
        let numbers = [0, 999, 1000, 10_000_000].map(thousands);
        assert_eq!(numbers, ["0", "999", "1,000", "10,000,000"]);
    }
}
