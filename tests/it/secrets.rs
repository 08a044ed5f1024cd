//! Credentials, cookies, query strings and bodies never appear in a log line or in an
//! error.
//!
//! To test this, we put marked secrets into requests, responses and settings, and then
//! search all output for the mark.

use fetchd::proto::{
    FetchBatchRequest, FetchOptions, FetchRequest, Header, Reason, fetch_service_client,
};
use tonic::{metadata::MetadataValue, transport::Channel};

use crate::support::{Origin, Process, RawOrigin, raw_client, reply, within_timeout};

/// Every secret contains this.
const PLANTED: &str = "planted";

/// Base64 of `planted-user:planted-password` and of the proxy's credentials.
const ENCODED: [&str; 2] = [
    "cGxhbnRlZC11c2VyOnBsYW50ZWQtcGFzc3dvcmQ=",
    "cGxhbnRlZC1wcm94eTpwbGFudGVkLXByb3h5LXBhc3N3b3Jk",
];

type Raw = fetch_service_client::FetchServiceClient<Channel>;

/// Returns a POST to `place`. There are secrets in its URL, its header lines and its
/// body.
fn request(place: &str) -> FetchRequest {
    let header = |name: &str, value: &'static str| Header {
        name: name.to_owned(),
        value: value.into(),
    };
    FetchRequest {
        url: format!(
            "{}?planted-query=planted-value#planted-fragment",
            place.replacen("://", "://planted-user:planted-password@", 1)
        ),
        method: "POST".to_owned(),
        headers: vec![
            header("Cookie", "session=planted-cookie"),
            header("X-Api-Key", "planted-key"),
        ],
        body: "planted-body".into(),
        options: Some(FetchOptions {
            max_attempts: Some(2),
            max_redirects: Some(3),
            max_body_bytes: Some(1000),
            timeout: Some(prost_types::Duration {
                seconds: 0,
                nanos: 500_000_000,
            }),
            ..FetchOptions::default()
        }),
    }
}

fn with(mut request: FetchRequest, change: impl FnOnce(&mut FetchRequest)) -> FetchRequest {
    change(&mut request);
    request
}

/// Starts an origin with secrets in its responses. Most of its paths end in an error.
async fn origin() -> Origin {
    Origin::new(|request| async move {
        let mut reply = match request.uri().path() {
            "/large" => reply(vec![b'x'; 2000]),
            "/silent" => std::future::pending().await,
            _ => reply("planted-answer"),
        };
        let headers = reply.headers_mut();
        headers.insert("set-cookie", "planted-set-cookie".parse().unwrap());
        let location = match request.uri().path() {
            "/undecodable" => {
                headers.insert("content-encoding", "gzip".parse().unwrap());
                ""
            }
            "/loop" => "/loop?planted-location",
            "/inside" => "http://planted-user:planted-password@10.0.0.1/?planted-location",
            "/elsewhere" => "ftp://planted-user:planted-password@host/?planted-location",
            "/malformed" => "http://planted-user:planted-password@[/?planted-location",
            _ => "",
        };
        if !location.is_empty() {
            headers.insert("location", location.parse().unwrap());
            *reply.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
        }
        reply
    })
    .await
}

/// Makes a call. Returns the reason and the message for each request that failed.
async fn errors(client: &mut Raw, requests: Vec<FetchRequest>) -> Vec<(Reason, String)> {
    let batch = FetchBatchRequest {
        requests,
        ..FetchBatchRequest::default()
    };
    let mut call = tonic::Request::new(batch);
    let token = MetadataValue::from_static("Bearer planted-token");
    call.metadata_mut().insert("authorization", token);
    let mut messages = client.fetch_batch(call).await.unwrap().into_inner();
    let mut errors = Vec::new();
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        let ends = message.parts.into_iter().filter_map(|part| part.end?.error);
        errors.extend(ends.map(|error| (error.reason(), error.message)));
    }
    errors
}

/// Panics if there's a secret in `text`.
fn assert_clean(text: &str) {
    let is_clean = !text.contains(PLANTED) && !ENCODED.iter().any(|code| text.contains(code));
    assert!(is_clean, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_or_log_line_contains_a_secret() {
    let origin = origin().await;
    let closing = RawOrigin::new(|stream| async { drop(stream) }).await;
    let garbage = RawOrigin::answering("planted-garbage\r\n\r\n").await;
    let head = RawOrigin::answering("HTTP/1.1 200 planted\r\nplanted head: x\r\n\r\n").await;
    let at = |path: &str| origin.url(path);
    let closed = "http://127.0.0.1:1/";

    // Log as much as possible, including all dependencies.
    let everything = "trace,fetchd=trace,h2=trace,hickory_net=trace,hickory_proto=trace,\
        hickory_resolver=trace,hyper=trace,hyper_util=trace,rustls=trace,tonic=trace,tower=trace";
    for filter in ["info", "trace", everything] {
        let service = Process::serve_with(&["--deny-host", "denied.test"], &[("RUST_LOG", filter)]);
        let mut client = raw_client(&service.url).await;
        let secret = "Authorization: Bearer planted-bearer";
        let requests = vec![
            request(&at("fine")),
            request(&at("large")),
            request(&at("silent")),
            request(&at("undecodable")),
            request(&at("loop")),
            request(&at("inside")),
            request(&at("elsewhere")),
            request(&at("malformed")),
            request(closed),
            request(&closed.replacen("http", "https", 1)),
            request(&at("").replacen("http", "https", 1)),
            request(&closing.url()),
            request(&garbage.url()),
            request(&head.url()),
            request("http://unknown.invalid/"),
            request("http://denied.test/"),
            request("http://169.254.169.254/"),
            request("http://[/"),
            request("http://127.0.0.1:65536/"),
            request("ftp://example.com/"),
            with(request(closed), |request| {
                request.url = "planted-user:planted-password@host/?planted://".to_owned();
            }),
            with(request(closed), |request| {
                request.url = "planteduser:planted@host/?planted=http://host/".to_owned();
            }),
            with(request(closed), |request| {
                request.url.push_str(&"planted".repeat(3000))
            }),
            with(request(closed), |request| {
                request.headers[0].name = secret.to_owned()
            }),
            with(request(closed), |request| {
                request.headers[0].value = "planted\n".into();
            }),
            with(request(closed), |request| {
                request.headers[0].name = "Proxy-Authorization".to_owned();
            }),
        ];
        let (count, errors) = (requests.len(), errors(&mut client, requests).await);
        assert_eq!(errors.len(), count - 1, "one request must succeed");
        let refused = FetchBatchRequest {
            requests: vec![request(closed)],
            timeout: Some(prost_types::Duration {
                seconds: -1,
                nanos: 0,
            }),
            ..FetchBatchRequest::default()
        };
        let status = client.fetch_batch(refused).await.unwrap_err();
        assert_clean(&format!("{status:?}"));
        for (reason, message) in &errors {
            if filter == "info" {
                println!("{reason:?}: {message}");
            }
            assert_clean(message);
        }
        let log = service.into_log();
        println!("{filter}: {} lines", log.len());
        assert!(log.len() > if filter == "info" { 2 } else { count });
        for line in &log {
            assert_clean(line);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_proxy_is_never_printed() {
    let closing = RawOrigin::new(|stream| async { drop(stream) }).await;
    let proxy = format!(
        "http://planted-proxy:planted-proxy-password@{}",
        closing.address
    );
    let variables = [
        ("FETCHD_PROXY", proxy.as_str()),
        ("RUST_LOG", "trace,fetchd=trace,hyper_util=trace"),
    ];
    let service = Process::serve_with(&[], &variables);
    let mut client = raw_client(&service.url).await;
    let requests = vec![
        request("http://somewhere.test/"),
        request("https://somewhere.test/"),
    ];
    let errors = errors(&mut client, requests).await;
    assert_eq!(errors.len(), 2);
    errors.iter().for_each(|(_, message)| assert_clean(message));
    service
        .into_log()
        .iter()
        .for_each(|line| assert_clean(line));

    // The command line must not print it either: not for a wrong URL, not without the
    // flag, and not in the help.
    for arguments in [
        &["serve", "--proxy", &proxy.replacen("http", "https", 1)][..],
        &["serve", "--proxy", &format!("{proxy}/?planted")],
        &["serve", "--proxy", "http://user:planted"],
        &["serve", "--proxy", "user:planted@host"],
        &["serve", &proxy],
        &["serve", "--help"],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fetchd"));
        let output = command.args(arguments).env("FETCHD_PROXY", &proxy);
        let output = output.output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        assert!(!printed.is_empty());
        assert_clean(&String::from_utf8(printed).unwrap());
    }
}
