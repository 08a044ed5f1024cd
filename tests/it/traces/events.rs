//! The events of a request: its attempts, hops and phases.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::config::{Config, OtlpEndpoint, Traces};
use tokio::io::AsyncWriteExt;

use super::{batch, fetch, is_error, once, serve};
use crate::support::{
    Answer, Authority, Dns, Origin, RawOrigin, allow_loopback,
    collector::{Collector, attributes, by_request, event, events},
    raw_client, read_head, reply, reset, service_with,
};

#[tokio::test]
async fn every_phase_of_every_hop_is_an_event() {
    let authority = Authority::new();
    let collector = Collector::new().await;
    let dns = Dns::new(|_| Answer::Addresses(vec![[127, 0, 0, 1].into()])).await;
    let https = RawOrigin::encrypted(authority.acceptor("far.test")).await;
    let target = format!("https://far.test:{}/", https.address.port());
    let location = target.clone();
    let http = Origin::new(move |_| {
        let location = location.clone();
        async move {
            let mut reply = reply("");
            *reply.status_mut() = http::StatusCode::FOUND;
            reply
                .headers_mut()
                .insert("location", location.parse().unwrap());
            reply
        }
    })
    .await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    config.origins.extra_roots = vec![authority.root()];
    let service = service_with(traced(config, &collector)).await;
    let mut client = service.raw_client().await;
    let url = format!("http://near.test:{}/", http.address.port());
    let ends = fetch(&mut client, batch(vec![once(url)]), "01").await;

    let (_, requests) = by_request(collector.wait_for(2).await);
    let span = &requests[&0];
    let hops = [
        "attempt",
        "dns",
        "connect",
        "redirect",
        "dns",
        "connect",
        "tls",
        "first byte",
    ];
    assert_eq!(events(span), hops);
    assert_eq!(event(span, "redirect")["url.full"], target);
    let timing = ends[0].timing.unwrap();
    let last_hop = span.events.iter().skip(4);
    let phases = [timing.dns, timing.connect, timing.tls];
    for (event, phase) in last_hop.zip(phases) {
        let phase = Duration::try_from(phase.unwrap()).unwrap();
        let recorded: f64 = attributes(&event.attributes)["fetchd.duration"]
            .parse()
            .unwrap();
        assert_eq!(
            Duration::from_secs_f64(recorded).as_micros(),
            phase.as_micros()
        );
    }
}

/// Adds an exporter to `config`.
fn traced(config: Config, collector: &Collector) -> Config {
    let endpoint: OtlpEndpoint = collector.url.parse().unwrap();
    let mut traces = Traces::new(endpoint);
    traces.schedule_delay = Duration::from_millis(20);
    Config {
        traces: Some(traces),
        ..config
    }
}

#[tokio::test]
async fn attempts_and_retries_are_events() {
    let collector = Collector::new().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let origin = Origin::new(move |_| {
        let number = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut reply = reply("there");
            if number < 2 {
                *reply.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            }
            reply
        }
    })
    .await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    let mut request = once(origin.url("busy"));
    request.options.as_mut().unwrap().max_attempts = Some(3);
    let ends = fetch(&mut client, batch(vec![request]), "01").await;
    assert_eq!((ends[0].attempts, &ends[0].error), (3, &None));

    let (_, requests) = by_request(collector.wait_for(2).await);
    let span = &requests[&0];
    let count = |name| events(span).iter().filter(|event| **event == name).count();
    assert_eq!(
        (count("attempt"), count("retry"), count("first byte")),
        (3, 2, 3)
    );
    let retry = event(span, "retry");
    assert_eq!(retry["error.type"], "503");
    assert!(retry["fetchd.delay"].parse::<f64>().unwrap() >= 0.0);
    let attributes = attributes(&span.attributes);
    assert_eq!(attributes["http.request.resend_count"], "2");
    assert_eq!(attributes["http.response.status_code"], "200");
    assert!(!is_error(span));
}

#[tokio::test]
async fn request_that_is_sent_again_on_another_connection_says_so() {
    let collector = Collector::new().await;
    let origin = RawOrigin::new(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        let _ = stream.write_all(answer).await;
        // The next request on this connection fails.
        read_head(&mut stream).await;
        reset(stream);
    })
    .await;
    let service = serve(&collector, &[]);
    let mut client = raw_client(&service.url).await;
    for _ in 0..2 {
        fetch(&mut client, batch(vec![once(origin.url())]), "01").await;
    }
    collector.wait_for(4).await;
    let spans = collector.spans();
    let again = spans.iter().find(|span| events(span).contains(&"resend"));
    let expected = [
        "attempt",
        "connection reused",
        "resend",
        "connect",
        "first byte",
    ];
    assert_eq!(events(again.unwrap()), expected);
}
