//! Where the settings came from, for the log.

use std::{collections::BTreeMap, fmt};

use clap::{ArgMatches, Args as _, Command, parser::ValueSource};

use super::Args;

/// The settings that don't have their defaults, each with the flag or the environment
/// variable that set it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Reads them from the matches of `fetchd serve`.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let command = Args::augment_args(Command::new("serve"));
        let source = |arg: &clap::Arg| {
            let id = arg.get_id().as_str();
            let source = match matches.value_source(id)? {
                ValueSource::CommandLine => format!("--{}", arg.get_long()?),
                ValueSource::EnvVariable => arg.get_env()?.to_str()?.to_owned(),
                _ => return None,
            };
            Some((id.to_owned(), source))
        };
        Self(command.get_arguments().filter_map(source).collect())
    }
}

/// Writes a JSON object, which the JSON log takes over as it is.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}
