//! A network namespace in which every address is this machine, so that no packet leaves
//! it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// The network in which a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// A network namespace of its own.
    Isolated,
    /// The host's network, because the host does not allow namespaces. The test may use
    /// loopback addresses only.
    Host,
}

/// The variable that marks a test started again inside the namespace.
const INSIDE: &str = "FETCHD_TEST_INSIDE";

/// Printed once the namespace is set up.
const READY: &str = "the network namespace is ready";

/// Names the DNS server at 127.0.0.1, and the search domains of a Kubernetes cluster,
/// which must not be applied.
const RESOLV_CONF: &str = "nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
";

/// Runs the test `name` of this binary in a network namespace, with `hosts` as its hosts
/// file.
///
/// Returns the network in which the caller must run the test body. Returns `None` if a
/// child process has already run it inside the namespace.
pub(crate) fn enter(name: &str, hosts: &str) -> Option<Network> {
    if std::env::var_os(INSIDE).is_some() {
        return Some(Network::Isolated);
    }
    let files = tempfile::tempdir().unwrap();
    for (file, text) in [("hosts", hosts), ("resolv.conf", RESOLV_CONF)] {
        std::fs::write(files.path().join(file), text).unwrap();
    }
    let script = format!(
        "ip link set lo up
        ip route add local 0.0.0.0/0 dev lo
        ip -6 route add local ::/0 dev lo
        mount --bind hosts /etc/hosts
        mount --bind resolv.conf /etc/resolv.conf
        echo '{READY}'
        exec \"$0\" --exact {name} --nocapture"
    );
    // A process that may not create network namespaces may still be able to inside a
    // user namespace.
    for user in [&[][..], &["--map-root-user"]] {
        let output = Command::new("unshare")
            .args(user)
            .args(["--net", "--mount", "sh", "-ec", &script])
            .arg(std::env::current_exe().unwrap())
            .current_dir(files.path())
            .env(INSIDE, "1")
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else {
            break;
        };
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        println!("{out}{err}");
        if out.contains(READY) {
            assert!(output.status.success(), "the test failed inside");
            assert!(out.contains("1 passed"), "no test has the name {name}");
            return None;
        }
    }
    // Written directly, because the test runner hides captured output of passing tests.
    let notice = format!("{name}: no network namespace, testing loopback addresses only\n");
    let _ = std::io::stderr().write_all(notice.as_bytes());
    Some(Network::Host)
}
