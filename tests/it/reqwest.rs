//! Code that was written for reqwest works with our client: requests, responses and
//! bodies are all the same.

use fetchd::client::{Error, FetchStats};
use futures_util::{StreamExt, future::join_all};
use http_body_util::BodyExt;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Origin, reply, service};

/// Starts an origin that sends the request back as JSON.
async fn echo() -> Origin {
    Origin::new(|request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let echoed = json!({
            "method": head.method.as_str(),
            "target": head.uri.to_string(),
            "kind": head.headers.get("content-type").map(|kind| kind.to_str().unwrap()),
            "mark": head.headers.get("x-mark").map(|mark| mark.to_str().unwrap()),
            "body": String::from_utf8(body.to_vec()).unwrap(),
        });
        if head.uri.path() == "/redirect" {
            let mut response = reply("");
            *response.status_mut() = 307.try_into().unwrap();
            response
                .headers_mut()
                .insert("location", "/landed?yes".parse().unwrap());
            return response;
        }
        let mut response = reply(echoed.to_string());
        let headers = response.headers_mut();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.append("set-cookie", "a=1".parse().unwrap());
        headers.append("set-cookie", "b=2".parse().unwrap());
        // Use a fixed date, or it might not be the same for both clients.
        headers.insert("date", "Sun, 22 Nov 2026 12:00:00 GMT".parse().unwrap());
        response
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_equal_those_of_reqwest() {
    let origin = echo().await;
    let service = service().await;
    let client = service.client().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let requests = || -> Vec<reqwest::Request> {
        let requests = (0..100).map(|index| match index % 4 {
            0 => http.get(origin.url(format!("get?{index}"))),
            1 => http
                .post(origin.url("post"))
                .json(&json!({ "index": index })),
            2 => http
                .put(origin.url("redirect"))
                .body(format!("body {index}")),
            _ => http.delete(origin.url("delete")).header("x-mark", index),
        });
        requests.map(|request| request.build().unwrap()).collect()
    };

    let direct = join_all(requests().into_iter().map(|request| http.execute(request))).await;
    let through = client.fetch_all(requests()).await;

    assert_eq!(through.len(), 100);
    for (direct, through) in direct.into_iter().zip(through) {
        let (direct, through) = (direct.unwrap(), through.unwrap());
        assert_eq!(through.status(), direct.status());
        assert_eq!(through.url(), direct.url());
        assert_eq!(through.version(), direct.version());
        assert_eq!(through.content_length(), direct.content_length());
        assert_eq!(sorted(through.headers()), sorted(direct.headers()));
        let stats = through.extensions().get::<FetchStats>().unwrap();
        assert_eq!(stats.attempts, 1);
        let json: Value = direct.json().await.unwrap();
        assert_eq!(through.json::<Value>().await.unwrap(), json);
    }
}

/// Returns all header lines, sorted by name. If several lines have the same name, their
/// order doesn't change.
fn sorted(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_can_be_read_as_text_stream_or_bytes() {
    let origin = Origin::new(|_| async { reply("a text") }).await;
    let service = service().await;
    let client = service.client().await;
    let text = client.execute(origin.url("")).await.unwrap();
    assert_eq!(text.text().await.unwrap(), "a text");
    let stream = client.execute(origin.url("")).await.unwrap().bytes_stream();
    let pieces: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(pieces.concat(), b"a text");
    let mut results = client.fetch_all([origin.url("")]).await;
    let held = results.remove(0).unwrap();
    assert_eq!(held.bytes().await.unwrap(), "a text");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_decoded_from_its_charset_as_in_reqwest() {
    /// Content types, with bodies in that charset and the text that they contain.
    const BODIES: [(&str, &[u8], &str); 7] = [
        ("text/html; charset=ISO-8859-1", b"\xe9\x80", "é€"),
        ("text/plain; charset=\"windows-1252\"", b"\xe9\x80", "é€"),
        ("text/plain; charset=Shift_JIS", b"\x93\xfa\x96\x7b", "日本"),
        ("text/plain; charset=utf-16le", b"\xe5\x65\x2c\x67", "日本"),
        // A byte order mark overrides the charset, and isn't part of the text.
        (
            "text/plain; charset=latin1",
            b"\xfe\xff\x65\xe5\x67\x2c",
            "日本",
        ),
        // Without a known charset it's UTF-8, and invalid bytes are replaced.
        ("text/plain; charset=unknown", "é€".as_bytes(), "é€"),
        ("text/plain", b"\xe9", "\u{fffd}"),
    ];

    let origin = Origin::new(|request| async move {
        let index: usize = request.uri().path()[1..].parse().unwrap();
        let (content_type, body, _) = BODIES[index];
        let mut response = reply(body);
        let headers = response.headers_mut();
        headers.insert("content-type", content_type.parse().unwrap());
        response
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let urls: Vec<_> = (0..BODIES.len()).map(|index| origin.url(index)).collect();
    let results = client.fetch_all(&urls).await;
    for ((url, (content_type, _, expected)), listed) in urls.iter().zip(BODIES).zip(results) {
        let direct = http.get(url).send().await.unwrap();
        assert_eq!(direct.text().await.unwrap(), expected, "{content_type}");
        assert_eq!(listed.unwrap().text().await.unwrap(), expected);
        let streamed = client.execute(url).await.unwrap();
        assert_eq!(streamed.text().await.unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streaming_request_fails_alone() {
    let origin = echo().await;
    let service = service().await;
    let client = service.client().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("a stream")]);
    let streaming = http
        .post(origin.url(""))
        .body(reqwest::Body::wrap_stream(stream));
    let requests = [
        http.get(origin.url("1")),
        streaming,
        http.get(origin.url("2")),
    ];
    let requests = requests.map(|request| request.build().unwrap());
    let results = client.fetch_all(requests).await;
    assert_eq!(results[0].as_ref().unwrap().url().path(), "/1");
    assert!(matches!(results[1], Err(Error::Unsendable { .. })));
    assert_eq!(results[2].as_ref().unwrap().url().path(), "/2");
}

#[tokio::test(flavor = "multi_thread")]
async fn error_of_a_single_request_names_its_url_without_secrets() {
    let service = service().await;
    let client = service.client().await;
    let url = "http://user:secret@127.0.0.1:1/path?key=secret#secret";
    let error = client.execute(url).await.unwrap_err().to_string();
    assert!(
        error.ends_with(" for url (http://127.0.0.1:1/path)"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");
    let invalid = client
        .execute("nonsense?secret")
        .await
        .unwrap_err()
        .to_string();
    assert!(invalid.ends_with(" for url (nonsense)"), "{invalid}");
    let connecting = fetchd::client::Client::connect("ftp://user:secret@127.0.0.1").await;
    let error = connecting.unwrap_err();
    assert!(
        !error.is_retryable() && !error.to_string().contains("secret"),
        "{error}"
    );
}
