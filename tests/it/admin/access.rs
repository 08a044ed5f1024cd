//! Who may read the page, and what nobody may.

use serde_json::json;

use super::{send, status};
use crate::support::Process;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_page_itself_can_read_the_status() {
    let service = Process::serve(&[]);
    let admin = &service.admin;
    let page = send(admin, "GET", "/", admin).await;
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with("<!doctype html>") && !page.body.contains("{{"));
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(page.head.contains(header), "{header} in {}", page.head);
    }
    let head = send(admin, "HEAD", "/", admin).await;
    let length = format!("content-length: {}", page.body.len());
    assert!(head.status == 200 && head.body.is_empty() && head.head.contains(&length));
    assert_eq!(send(admin, "POST", "/", admin).await.status, 405);
    let unknown = send(admin, "GET", "/unknown", admin).await;
    let paths = "expected /, /status.json, /metrics, /healthz or /readyz\n";
    assert_eq!((unknown.status, unknown.body.as_str()), (404, paths));

    let json = send(admin, "GET", "/status.json", admin).await;
    assert!(json.head.contains("content-type: application/json"));
    assert!(json.head.contains("cache-control: no-store"));
    assert!(!json.head.contains("access-control"));
    // A name that anybody could have registered to resolve to our address.
    for path in ["/", "/status.json"] {
        let status = send(admin, "GET", path, "rebind.example.com").await.status;
        assert_eq!(status, 421, "{path}");
    }
    for path in ["/metrics", "/healthz"] {
        let status = send(admin, "GET", path, "rebind.example.com").await.status;
        assert_eq!(status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_have_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "absent-caller hunter2-token-of-a-caller\n").unwrap();
    let service = Process::serve_with(
        &[
            "--auth-token-file",
            tokens.to_str().unwrap(),
            "--deny-net",
            "10.1.0.0/16",
            "--allow-host",
            "*.example.com,localhost",
            "--allow-port",
            "443,8443",
        ],
        &[("FETCHD_PROXY", "http://user:hunter2@127.0.0.1:3128")],
    );
    let settings = status(&service.admin).await["settings"].take();
    assert_eq!(settings["proxy"], "http://127.0.0.1:3128/");
    assert_eq!(settings["tokens"], true);
    assert_eq!(settings["limits"]["max_in_flight"], 1024);
    let egress = json!({
        "allow_net": ["127.0.0.0/8"],
        "deny_net": ["10.1.0.0/16"],
        "allow_host": ["*.example.com", "localhost"],
        "deny_host": [],
        "allow_port": [443, 8443],
    });
    assert_eq!(settings["egress"], egress);
    for path in ["/", "/status.json"] {
        let body = send(&service.admin, "GET", path, "localhost").await.body;
        for secret in [
            "hunter2",
            "absent-caller",
            "user",
            folder.path().to_str().unwrap(),
        ] {
            assert!(!body.contains(secret), "{secret} in {path}");
        }
    }
}
