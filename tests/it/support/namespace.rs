//! A network namespace. In it, every address belongs to this machine, so no packet ever
//! leaves it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Which network a test runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// In its own network namespace.
    Isolated,
    /// In the host's network, because we're not allowed to create a namespace. The test
    /// must stick to loopback addresses.
    Host,
}

/// This variable tells a test that it was started again inside the namespace.
const INSIDE: &str = "FETCHD_TEST_INSIDE";

/// This is printed as soon as the namespace is ready.
const READY: &str = "the network namespace is ready";

/// Uses the DNS server at 127.0.0.1. There are also search domains, just like in a
/// Kubernetes cluster, but they must not be used.
const RESOLV_CONF: &str = "nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
";

/// Runs the test `name` from this binary in a network namespace. `hosts` becomes the
/// hosts file.
///
/// Returns the network that the caller should run the test body in. If it returns `None`,
/// then a child process has already done that inside the namespace, and there's nothing
/// left to do.
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
    // Even if we may not create a network namespace, we may still be able to do so within
    // a user namespace.
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
    // Write directly to standard error. The test runner captures everything else, and
    // hides it if the test passes.
    let notice = format!("{name}: no network namespace, testing loopback addresses only\n");
    let _ = std::io::stderr().write_all(notice.as_bytes());
    Some(Network::Host)
}
