//! The layout of `fetchd serve --help`.

use clap::Arg;

/// What comes after the flags.
pub(super) const AFTER: &str = "\
Environment:
  FETCHD_...     Any flag: FETCHD_MAX_IN_FLIGHT for --max-in-flight, and so on. Flags on the
                 command line override them. Lists are separated by commas.
  RUST_LOG       What to log: off, error, warn, info, debug (a line for each request) or trace
                 [default: info]. Libraries only log if they are named: info,h2=debug
  OTEL_...       Traces: OTEL_TRACES_SAMPLER and others, see docs/operations.md
  SSL_CERT_FILE, SSL_CERT_DIR
                 Root certificates to trust for origins, instead of the system's";

/// The headings, and the flags below each of them.
const HEADINGS: [(&str, &[&str]); 9] = [
    ("Listeners", &["listen", "admin-listen", "admin-hosts"]),
    (
        "Callers",
        &["tls-cert", "tls-key", "tls-client-ca", "auth-token-file"],
    ),
    (
        "Limits",
        &[
            "default-concurrency",
            "max-concurrency",
            "max-in-flight",
            "max-per-host",
            "max-batches",
            "max-batches-per-caller",
            "max-batch-requests",
            "max-request-bytes",
            "max-queued-bytes",
            "max-connections",
            "max-connection-age",
            "stall-timeout",
        ],
    ),
    ("Limits of a request", &["max-body-bytes", "max-timeout"]),
    (
        "Where fetches may go",
        &[
            "allow-net",
            "deny-net",
            "allow-host",
            "deny-host",
            "allow-port",
        ],
    ),
    ("Origins", &["ca-cert", "proxy", "user-agent"]),
    ("Shutdown", &["drain-delay", "drain-timeout"]),
    ("Traces", &["otlp-endpoint"]),
    ("Process", &["log-format", "worker-threads"]),
];

/// Puts `arg` below its heading.
pub(super) fn with_heading(arg: Arg) -> Arg {
    let flag = arg.get_long().unwrap_or_default();
    let heading = HEADINGS.iter().find(|(_, flags)| flags.contains(&flag));
    match heading {
        Some((heading, _)) => arg.help_heading(*heading),
        None => arg,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;
    use crate::cli::serve::Args;

    #[test]
    fn every_flag_has_a_heading() {
        let command = Args::augment_args(Command::new("serve"));
        let flags = command.get_arguments().map(|arg| arg.get_long().unwrap());
        let listed = HEADINGS.iter().flat_map(|(_, flags)| flags.iter().copied());
        // The help sorts the flags by heading, and the README lists them as they are.
        assert_eq!(
            flags.collect::<Vec<_>>(),
            listed.collect::<Vec<_>>(),
            "expected the flags in the order of their headings"
        );
    }
}
