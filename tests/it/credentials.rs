//! `fetchd get` and `fetchd health` with TLS and tokens.

use std::{fs, path::PathBuf};

use rustls::version::TLS13;
use tempfile::TempDir;

use crate::support::{
    Authority, Front, Origin, Pair,
    command::{fetchd, lines, stderr},
    pki, reply, service,
};

/// The files of a caller.
struct Files {
    directory: TempDir,
}

impl Files {
    /// Writes the root and an identity of `authority`, and a token.
    fn new(authority: &Authority, token: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let Pair { cert, key } = authority.issue("client.test");
        for (name, content) in [
            ("ca", authority.pem()),
            ("cert", cert),
            ("key", key),
            ("token", format!("{token}\n")),
        ] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns flags with these files, such as `--tls-ca FILE`.
    fn flags(&self, names: &[&str]) -> Vec<String> {
        let flags = names.iter().flat_map(|name| {
            let flag = match *name {
                "token" => "--token-file".to_owned(),
                name => format!("--tls-{name}"),
            };
            [flag, self.path(name).display().to_string()]
        });
        flags.collect()
    }
}

/// Runs a command with flags. Returns the exit code, standard output and standard error.
async fn run(arguments: &[&str], flags: &[String]) -> (Option<i32>, String, String) {
    let flags = flags.iter().map(String::as_str);
    let arguments: Vec<_> = arguments.iter().copied().chain(flags).collect();
    let output = fetchd(&arguments, "").await;
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code(), out, stderr(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn get_and_health_use_tls_and_a_token() {
    let authority = Authority::new();
    let acceptor = authority.requiring_client_certificate("127.0.0.1", &TLS13);
    let front = Front::new(Some(acceptor)).await;
    front.require_token("s3cret");
    let files = Files::new(&authority, "s3cret");
    let url = front.url();
    let origin = Origin::new(|_| async { reply("there") }).await;
    let flags = files.flags(&["ca", "cert", "key", "token"]);
    let target = origin.url("");
    let arguments = ["get", "--quiet", "--server", &url, &target];
    let (code, out, error) = run(&arguments, &flags).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("\"body\":\"there\""), "{out}");
    let (code, out, error) = run(&["health", "--server", &url], &flags).await;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(out, format!("fetchd.v1.FetchService at {url} is SERVING\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_the_real_service_need_a_certificate_and_a_token() {
    let authority = Authority::new();
    let (caller, wrong) = (
        Files::new(&authority, "s3cret"),
        Files::new(&authority, "wr0ng"),
    );
    let files = pki::Files::new(&authority.issue("127.0.0.1"), &authority.pem());
    let tokens = files.path("tokens");
    fs::write(&tokens, "web s3cret\n").unwrap();
    let service = files.serve(true, &["--auth-token-file", tokens.to_str().unwrap()], &[]);
    let url = format!("https://{}", service.address());
    let origin = Origin::new(|_| async { reply("there") }).await;
    let target = origin.url("");
    let get = ["get", "--quiet", "--server", &url, &target];
    let health = ["health", "--server", &url];

    let (code, out, error) = run(&get, &caller.flags(&["ca", "cert", "key", "token"])).await;
    assert!(code == Some(0) && out.contains("there"), "{out}{error}");
    // Health checks need no token.
    let flags = caller.flags(&["ca", "cert", "key"]);
    let (code, _, error) = run(&health, &flags).await;
    assert_eq!(code, Some(0), "{error}");
    for (flags, expected) in [
        (
            caller.flags(&["ca"]),
            "the server asks for a client certificate",
        ),
        (flags, "UNAUTHENTICATED"),
        (
            wrong.flags(&["ca", "cert", "key", "token"]),
            "UNAUTHENTICATED",
        ),
        (vec![], "signed by a root of the system"),
    ] {
        let (code, _, error) = run(&get, &flags).await;
        assert!(code == Some(3) && error.contains(expected), "{error}");
    }
    let plain = service.url.as_str();
    let (_, _, error) = run(&["health", "--server", plain], &[]).await;
    assert!(error.contains("got a TLS server; use https://"), "{error}");
    let log = service.into_log().concat();
    assert!(!log.contains("s3cret") && !log.contains("wr0ng"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_names_what_is_wrong_at_once() {
    let (authority, other) = (Authority::new(), Authority::new());
    let acceptor = authority.requiring_client_certificate("127.0.0.1", &TLS13);
    let front = Front::new(Some(acceptor)).await;
    front.require_token("s3cret");
    let (right, wrong) = (Files::new(&authority, "wr0ng"), Files::new(&other, ""));
    let url = front.url();
    for (flags, expected) in [
        (
            wrong.flags(&["ca"]),
            vec!["signed by a root of", "/ca, got"],
        ),
        (
            right.flags(&["ca"]),
            vec!["a client certificate (tls_identity, --tls-cert)"],
        ),
        (
            [right.flags(&["ca"]), wrong.flags(&["cert", "key"])].concat(),
            vec!["rejects the client certificate"],
        ),
        (
            right.flags(&["ca", "cert", "key"]),
            vec![
                "UNAUTHENTICATED",
                "expected a token of this service",
                "has no token",
            ],
        ),
        (
            right.flags(&["ca", "cert", "key", "token"]),
            vec!["UNAUTHENTICATED", "expected a token of this service"],
        ),
    ] {
        let arguments = ["get", "--server", &url, "http://a.test/"];
        let (code, out, error) = run(&arguments, &flags).await;
        assert_eq!((code, out.as_str()), (Some(3), ""), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        for part in expected {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("wr0ng"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_what_is_wrong() {
    let (authority, other) = (Authority::new(), Authority::new());
    let acceptor = authority.requiring_client_certificate("127.0.0.1", &TLS13);
    let mutual = Front::new(Some(acceptor)).await;
    let simple = Front::new(Some(authority.http2("127.0.0.1"))).await;
    let plain = service().await;
    let web = Origin::new(|_| async { reply("there") }).await;
    let (right, wrong) = (Files::new(&authority, ""), Files::new(&other, ""));
    let at = |scheme: &str, address: &dyn std::fmt::Display| format!("{scheme}://{address}");
    let plain = plain.url.trim_start_matches("http://");
    let with = "expected a gRPC service (HTTP/2 with TLS), got a server without TLS";
    for (url, flags, expected) in [
        (
            at("http", &simple.address),
            vec![],
            "expected a gRPC service (HTTP/2 without TLS), got a TLS server; use https://",
        ),
        (at("https", &plain), vec![], with),
        (at("https", &web.address), vec![], with),
        (
            simple.url(),
            vec![],
            "signed by a root of the system (tls_ca, --tls-ca sets others)",
        ),
        (
            simple.url(),
            wrong.flags(&["ca"]),
            "got one with another signature",
        ),
        (
            mutual.url(),
            right.flags(&["ca"]),
            "the server asks for a client certificate (tls_identity, --tls-cert), and there is none",
        ),
    ] {
        let (code, out, error) = run(&["health", "--server", &url], &flags).await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{error}");
        assert!(error.starts_with(&format!("error: {url}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_cannot_be_used_are_wrong_usage() {
    let authority = Authority::new();
    let files = Files::new(&authority, "");
    let others = Files::new(&authority, "two words");
    let flag = |flag: &str, path: &str| vec![flag.to_owned(), path.to_owned()];
    for (server, flags, expected) in [
        (
            "https://127.0.0.1:1",
            flag("--tls-ca", "/nowhere.pem"),
            vec![
                "--tls-ca: expected a file of PEM certificates",
                "/nowhere.pem",
            ],
        ),
        (
            "https://127.0.0.1:1",
            flag("--tls-ca", "README.md"),
            vec!["--tls-ca: expected a file of PEM certificates", "README.md"],
        ),
        (
            "https://127.0.0.1:1",
            [files.flags(&["cert"]), flag("--tls-key", "README.md")].concat(),
            vec![
                "--tls-key: expected a file of a PEM private key",
                "README.md",
            ],
        ),
        (
            "https://127.0.0.1:1",
            [files.flags(&["cert"]), others.flags(&["key"])].concat(),
            vec!["--tls-key: expected a file of the private key of tls_cert"],
        ),
        (
            "https://127.0.0.1:1",
            files.flags(&["cert"]),
            vec!["--tls-key"],
        ),
        (
            "https://127.0.0.1:1",
            files.flags(&["key"]),
            vec!["--tls-cert"],
        ),
        (
            "http://127.0.0.1:1",
            files.flags(&["token"]),
            vec![
                "--token-file: expected a file that contains a token",
                "empty",
            ],
        ),
        (
            "http://127.0.0.1:1",
            others.flags(&["token"]),
            vec![
                "--token-file: expected a file that contains a token",
                "without spaces",
            ],
        ),
        (
            "http://127.0.0.1:1",
            files.flags(&["ca"]),
            vec!["--tls-ca: expected a --server URL such as https://"],
        ),
        (
            "ftp://127.0.0.1",
            vec![],
            vec!["--server: expected a URL such as http://localhost:50051 or https://"],
        ),
    ] {
        for arguments in [
            &["get", "http://a.test/", "--server", server][..],
            &["health", "--server", server],
        ] {
            let (code, out, error) = run(arguments, &flags).await;
            assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
            for part in &expected {
                assert!(error.contains(part), "{error}");
            }
            assert!(!error.contains("two words"), "{error}");
        }
    }
    let (code, _, error) = run(&["get", "http://a.test/"], &files.flags(&["token"])).await;
    assert!(code == Some(2) && error.contains("--server"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_a_wrong_token_keep_their_lines() {
    let front = Front::new(None).await;
    front.require_token("s3cret");
    let url = format!("http://{}", front.address);
    let directory = tempfile::tempdir().unwrap();
    let (list, failures) = (
        directory.path().join("list"),
        directory.path().join("failed"),
    );
    let urls: String = (0..5000)
        .map(|index| format!("http://a.test/{index}\n"))
        .collect();
    fs::write(&list, &urls).unwrap();
    let arguments = [
        "get",
        "--server",
        &url,
        "-i",
        list.to_str().unwrap(),
        "--failures",
        failures.to_str().unwrap(),
    ];
    let output = fetchd(&arguments, "").await;
    let error = stderr(&output);
    assert!(error.contains("UNAUTHENTICATED"), "{error}");
    assert!(lines(&output).len() <= 5000);
    assert_eq!(fs::read_to_string(&failures).unwrap(), urls);
}
