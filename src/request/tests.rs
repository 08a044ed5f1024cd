//! Tests for creating requests.

mod destination;

use super::*;

fn refused(url: &str, method: &str) -> InvalidRequest {
    Request::new(url, method).expect_err("the request is refused")
}

#[test]
fn a_url_must_be_absolute_and_http() {
    for url in [
        "",
        "/path",
        "example.com/",
        "ftp://example.com/",
        "http://",
        "https:///",
        "http:///path",
        "http:path",
        "http:\\\\host/",
        "http://\\host/",
        "data:,x",
        "http://./",
        "http://../",
        "http://a..b/",
        "http://.a/",
        "http://127.0.0.1../",
        "http://2130706433../",
        "http://0x7f.1../",
        "http://localhost../",
    ] {
        // Browsers would skip the third slash of `https:///`. Without it, there's no
        // host.
        assert_eq!(refused(url, "").field, "url", "{url}");
    }
    let long = format!("http://example.com/{}", "x".repeat(Request::MAX_URL));
    assert_eq!(refused(&long, "").field, "url");
    let long = format!("http://{}example.com/", "x.".repeat(124));
    assert_eq!(refused(&long, "").field, "url");
    assert!(Request::new("http://example.com./", "").is_ok());
    // Encoding turns these 6,000 characters into 36,000 bytes.
    let growing = format!("http://example.com/{}", "é".repeat(6000));
    assert_eq!(refused(&growing, "").field, "url");
}

#[test]
fn user_info_becomes_authorization_and_leaves_the_url() {
    let request = Request::new("http://us%20er:p%40ss@example.com/a#frag", "").unwrap();
    assert_eq!(request.uri, "http://example.com/a");
    assert_eq!(request.headers["authorization"], "Basic dXMgZXI6cEBzcw==");
}

#[test]
fn methods_are_upper_case_tokens() {
    for method in ["get", "Get", "CONNECT", "A B", "GET\r\n", "É"] {
        assert_eq!(refused("http://a/", method).field, "method", "{method}");
    }
    assert_eq!(Request::new("http://a/", "").unwrap().method, Method::GET);
    assert_eq!(Request::new("http://a/", "PURGE").unwrap().method, "PURGE");
}

#[test]
fn headers_of_the_connection_are_refused() {
    let mut request = Request::new("http://a/", "").unwrap();
    for name in [
        "Host",
        "content-length",
        "TE",
        "Proxy-Authorization",
        "Transfer_Encoding",
        "content_length",
        "HTTP2-Settings",
        "proxy_authorization",
        "bad name",
        "",
    ] {
        let error = request.add_header(name, Bytes::from_static(b"x"));
        assert_eq!(error.unwrap_err().field, "headers", "{name}");
    }
    let split = request.add_header("x", Bytes::from_static(b"a\r\nb: c"));
    assert!(split.is_err());
    request
        .add_header("x", Bytes::from_static(b"\xff"))
        .unwrap();
    request.add_header("X", Bytes::from_static(b"2")).unwrap();
    assert_eq!(request.headers.get_all("x").iter().count(), 2);
}
