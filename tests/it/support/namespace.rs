//! A network of the test's own, where every address is this machine and nothing
//! can leave it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// In a network of its own.
    Own,
    /// In that of the machine, since it grants no other: of all addresses, those
    /// of the loopback range alone lead nowhere else.
    Machine,
}

/// Set for a test that was started again inside.
const INSIDE: &str = "FETCHD_TEST_INSIDE";

/// Printed when the network stands.
const READY: &str = "in a network of its own";

/// The name server is at 127.0.0.1, and a search list would make names of a
/// cluster of short ones.
const RESOLV_CONF: &str = "nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
";

/// Runs the test `name` of this binary in a network of its own, where `hosts` is
/// the hosts file; gives where its body is to run, which is nowhere once it has
/// run inside.
pub(crate) fn enter(name: &str, hosts: &str) -> Option<Network> {
    if std::env::var_os(INSIDE).is_some() {
        return Some(Network::Own);
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
    // A process without the right to make namespaces may have it in one of users.
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
    // Past what the test runner captures: it is to be seen.
    let notice = format!("{name}: no network of its own is granted here: loopback alone\n");
    let _ = std::io::stderr().write_all(notice.as_bytes());
    Some(Network::Machine)
}
