//! What the builder of a client sets applies to each of its requests, as the settings of a
//! reqwest client do.

use std::time::Duration;

use fetchd::{
    Code,
    client::{
        Builder, Client, Error, Request, redirect,
        reqwest::{
            self, Response,
            header::{HeaderMap, HeaderName, HeaderValue},
        },
    },
    proto::Reason,
    server::{Peer, Server},
};
use futures_util::{StreamExt, future::join_all, stream};

use crate::support::{
    Origin, allow_loopback, fill_backlog, gated_origin, origin_gated_at, reply, service,
    short_backlog,
};

/// Settings that both clients have. They can't share a type, so this is a macro.
macro_rules! configured {
    ($builder:expr) => {
        $builder
            .default_headers(default_headers())
            .user_agent("my-service/1.0")
            .timeout(Duration::from_secs(20))
            .read_timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(10))
    };
}

fn default_headers() -> HeaderMap {
    headers(&[
        ("x-api-key", "secret-key"),
        ("authorization", "Bearer secret-token"),
        ("accept-language", "en"),
    ])
}

/// Returns a map with these lines. Names may occur several times.
fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let lines = lines.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    headers
}

/// Starts an origin that sends the header lines back, sorted by name. A path that is a
/// number redirects to the next lower one, until it's 0.
async fn echo() -> Origin {
    Origin::new(|request| async move {
        let lines = request.headers().iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
        let mut response = reply(lines.join("\n"));
        let left: u32 = request.uri().path()[1..].parse().unwrap_or(0);
        if left > 0 {
            *response.status_mut() = 302.try_into().unwrap();
            let next = format!("/{}", left - 1).parse().unwrap();
            response.headers_mut().insert("location", next);
        }
        response
    })
    .await
}

/// Returns the echoed lines called `name`.
async fn echoed(result: Result<Response, Error>, name: &str) -> Vec<String> {
    let text = result.unwrap().text().await.unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let values = lines.filter(|(found, _)| *found == name);
    values.map(|(_, value)| value.to_owned()).collect()
}

/// Fetches a single request.
async fn fetch(client: &Client, request: impl Into<Request>) -> Result<Response, Error> {
    client.fetch_all([request]).await.remove(0)
}

fn reason(result: Result<Response, Error>) -> Reason {
    let error = result.unwrap_err();
    error.reason().unwrap_or_else(|| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn default_headers_reach_the_origin_however_a_request_is_sent() {
    let origin = echo().await;
    let service = service().await;
    let server = Server::new(allow_loopback()).unwrap();
    let builder = Client::builder().default_headers(default_headers());
    let connected = builder.clone().connect(&service.url).await.unwrap();
    let embedded = builder.over_connector(move || {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(server.clone().serve_connection(far, Peer::Local));
        Ok(near)
    });
    for client in [connected, embedded.unwrap()] {
        let url = origin.url("");
        let listed = fetch(&client, &url).await;
        assert_eq!(echoed(listed, "x-api-key").await, ["secret-key"]);
        let streamed = client.fetch_stream(stream::iter([url.clone()])).all().await;
        for result in streamed {
            assert_eq!(echoed(result, "x-api-key").await, ["secret-key"]);
        }
        let executed = client.execute(&url).await;
        assert_eq!(echoed(executed, "x-api-key").await, ["secret-key"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_request_replace_the_default_ones() {
    let origin = echo().await;
    let service = service().await;
    let builder = Client::builder()
        .default_headers(headers(&[("x-many", "replaced"), ("x-key", "default")]))
        .default_headers(headers(&[("x-many", "1"), ("x-many", "2")]))
        .default_headers(headers(&[("authorization", "default")]))
        .user_agent("default");
    let client = builder.connect(&service.url).await.unwrap();

    let plain = Request::get(origin.url(""));
    for (name, expected) in [
        ("x-many", vec!["1", "2"]),
        ("x-key", vec!["default"]),
        ("user-agent", vec!["default"]),
        ("authorization", vec!["default"]),
    ] {
        let result = fetch(&client, plain.clone()).await;
        assert_eq!(echoed(result, name).await, expected);
        let own = plain.clone().header(name.to_uppercase(), "own");
        assert_eq!(echoed(fetch(&client, own).await, name).await, ["own"]);
    }
    // The service turns these into a header, so they count as one.
    let with_credentials = origin.url("").replace("http://", "http://user:secret@");
    let result = fetch(&client, with_credentials).await;
    let expected = ["Basic dXNlcjpzZWNyZXQ="];
    assert_eq!(echoed(result, "authorization").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_get_the_headers_that_reqwest_sends() {
    let origin = echo().await;
    let service = service().await;
    let http = reqwest::Client::builder().no_proxy();
    let http = configured!(http).build().unwrap();
    let client = configured!(Client::builder());
    let client = client.connect(&service.url).await.unwrap();
    let url = origin.url("");
    let requests = || -> Vec<reqwest::Request> {
        let requests = [
            http.get(&url),
            http.get(&url)
                .header("X-Api-Key", "own")
                .header("accept", "text/plain"),
            http.post(&url).json(&["body"]).basic_auth("user", Some("")),
            http.put(&url).body("text").header("User-Agent", "own"),
            http.delete(&url).timeout(Duration::from_secs(5)),
            http.get(origin.url(1)),
        ];
        requests.map(|request| request.build().unwrap()).into()
    };

    let direct = join_all(requests().into_iter().map(|request| http.execute(request))).await;
    let through = client.fetch_all(requests()).await;

    for (direct, through) in direct.into_iter().zip(through) {
        let direct = direct.unwrap().text().await.unwrap();
        let through = through.unwrap().text().await.unwrap();
        assert!(direct.contains("accept-language: en\n"), "{direct}");
        // This is the whole list of differences: the service asks for the encodings that
        // it decodes, and doesn't tell where a redirect came from.
        let mut through: Vec<_> = through.lines().collect();
        through.retain(|line| *line != "accept-encoding: gzip, deflate");
        let mut direct: Vec<_> = direct.lines().collect();
        direct.retain(|line| !line.starts_with("referer: "));
        assert_eq!(through, direct);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_of_the_client_applies_to_requests_without_one() {
    let (origin, gate) = gated_origin().await;
    let service = service().await;
    let builder = Client::builder().timeout(Duration::from_millis(50));
    let client = builder.connect(&service.url).await.unwrap();
    assert_eq!(
        reason(client.execute(origin.url("")).await),
        Reason::Timeout
    );

    let own = Request::get(origin.url("")).timeout(Duration::from_secs(20));
    let requests = [own, Request::get(origin.url(""))];
    let mut outcomes = client.fetch(requests).outcomes();
    let first = outcomes.next().await.unwrap();
    assert_eq!(first.index, 1);
    assert_eq!(reason(first.into_result()), Reason::Timeout);
    gate.add_permits(10);
    assert!(outcomes.next().await.unwrap().into_result().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn read_and_connect_timeouts_are_those_of_the_origin() {
    let short = Duration::from_millis(50);
    let (silent, _gate) = origin_gated_at(|_| true).await;
    let full = short_backlog();
    let _filling = fill_backlog(&full).await;
    let service = service().await;
    let builder = Client::builder().read_timeout(short).connect_timeout(short);
    let client = builder.connect(&service.url).await.unwrap();

    let unanswered = format!("http://{}/", full.local_addr().unwrap());
    for (url, reason, message) in [
        (silent.url(""), Reason::Timeout, "idle_timeout of 50ms"),
        (unanswered, Reason::Connect, "connect_timeout of 50ms"),
    ] {
        let result = fetch(&client, Request::get(url).max_attempts(1)).await;
        let error = result.unwrap_err();
        assert_eq!(error.reason(), Some(reason), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_handled_as_in_reqwest() {
    use redirect::Policy as Ours;
    use reqwest::redirect::Policy as Theirs;

    let origin = echo().await;
    let service = service().await;
    for (ours, theirs) in [
        (Ours::none(), Theirs::none()),
        (Ours::limited(2), Theirs::limited(2)),
        (Ours::limited(20), Theirs::limited(20)),
        (Ours::default(), Theirs::default()),
    ] {
        let http = reqwest::Client::builder().no_proxy();
        let http = http.redirect(theirs).build().unwrap();
        let builder = Client::builder().redirect(ours);
        let client = builder.connect(&service.url).await.unwrap();
        for redirects in [0, 1, 2, 3, 10, 11, 20, 21] {
            let url = origin.url(redirects);
            match (http.get(&url).send().await, fetch(&client, &url).await) {
                (Ok(direct), Ok(through)) => {
                    assert_eq!(through.status(), direct.status());
                    assert_eq!(through.url(), direct.url());
                }
                (Err(direct), through) => {
                    assert!(direct.is_redirect(), "{direct}");
                    assert_eq!(reason(through), Reason::TooManyRedirects);
                }
                (Ok(_), Err(error)) => panic!("{redirects} redirects: {error}"),
            }
        }
        let own = Request::get(origin.url(4)).max_redirects(4);
        assert_eq!(fetch(&client, own).await.unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_without_a_meaning_are_refused() {
    let refused = |change: fn(Builder) -> Builder| async move {
        let over = change(Client::builder())
            .over_connector(|| Err::<tokio::io::DuplexStream, _>(std::io::Error::other("unused")));
        // Nothing listens there, but we don't even try.
        let connecting = change(Client::builder()).connect("http://127.0.0.1:1");
        for error in [over.unwrap_err(), connecting.await.unwrap_err()] {
            let Error::Call { code, message, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(code, Code::InvalidArgument, "{message}");
            assert!(message.contains(": expected "), "{message}");
        }
    };
    refused(|builder| builder.user_agent("a\nb")).await;
    refused(|builder| builder.timeout(Duration::ZERO)).await;
    refused(|builder| builder.read_timeout(Duration::ZERO)).await;
    refused(|builder| builder.connect_timeout(Duration::ZERO)).await;
    refused(|builder| builder.redirect(redirect::Policy::limited(0))).await;
    refused(|builder| builder.redirect(redirect::Policy::limited(21))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_output_has_no_values_of_default_headers() {
    let service = service().await;
    let builder = configured!(Client::builder());
    let printed = format!("{builder:#?}");
    assert!(printed.contains("x-api-key"), "{printed}");
    let client = builder.connect(&service.url).await.unwrap();
    let fetch = client.fetch(["http://a.example/"]);
    for printed in [printed, format!("{client:?}"), format!("{fetch:?}")] {
        assert!(!printed.contains("secret"), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn default_headers_count_towards_the_size_of_a_call() {
    const COUNT: usize = 300;

    let origin = Origin::new(|request| async move {
        let padding = request.headers()["x-padding"].len();
        // Makes them overlap, if they can.
        tokio::time::sleep(Duration::from_millis(2)).await;
        reply(padding.to_string())
    })
    .await;
    let service = service().await;
    // All of them together are larger than a message may be.
    let padding = "x".repeat(60 << 10);
    let mut headers = HeaderMap::new();
    headers.insert("x-padding", padding.parse().unwrap());
    let builder = Client::builder().default_headers(headers);
    let client = builder.connect(&service.url).await.unwrap();
    let urls = (0..COUNT).map(|index| origin.url(index));
    let results = client.fetch(urls).concurrency(5).all().await;
    for result in results {
        let text = result.unwrap().text().await.unwrap();
        assert_eq!(text, padding.len().to_string());
    }
    assert!(origin.peak() <= 5, "{}", origin.peak());
}
