//! Environment variables for `fetchd serve`. Every flag has one, and we derive the
//! variable's name from the flag's.

use clap::{Arg, Args as _, Command};

use super::Args;

/// All our variable names start with this.
const PREFIX: &str = "FETCHD_";

/// Kubernetes sets variables with these prefixes if there's a Service named `fetchd`.
const KUBERNETES_PREFIXES: [&str; 2] = ["FETCHD_SERVICE_", "FETCHD_PORT"];

/// Adds the environment variable to `arg`, e.g. `FETCHD_MAX_BATCHES` to `--max-batches`.
pub(super) fn with_variable(arg: Arg) -> Arg {
    let Some(flag) = arg.get_long() else {
        return arg;
    };
    let name = format!("{PREFIX}{}", flag.to_uppercase().replace('-', "_"));
    // clap wants a static name here. Leaking is fine, since there are only a few flags
    // and they live as long as the process.
    arg.env(&*name.leak())
}

/// Warns about variables that start with our prefix but don't belong to a flag.
/// Otherwise we'd silently ignore a misspelt one.
pub(super) fn warn_about_unknown_variables() {
    let command = Args::augment_args(Command::new("serve"));
    let is_known = |name: &str| {
        command
            .get_arguments()
            .any(|arg| arg.get_env().is_some_and(|known| known == name))
    };
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let is_ours = name.starts_with(PREFIX)
            && !KUBERNETES_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
        if is_ours && !is_known(name) {
            tracing::warn!("ignoring the environment variable {name}: no flag has this name");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_variable() {
        let command = Args::augment_args(Command::new("serve"));
        let mut count = 0;
        for arg in command.get_arguments() {
            let name = arg.get_env().unwrap().to_str().unwrap();
            let flag = name.strip_prefix("FETCHD_").unwrap();
            let flag = flag.to_lowercase().replace('_', "-");
            assert_eq!(arg.get_long(), Some(flag.as_str()));
            count += 1;
        }
        assert!(count > 20);
    }
}
