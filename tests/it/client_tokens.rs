//! The Rust client with a token, and what it never shows.

use std::{fs, time::Instant};

use fetchd::{
    Code,
    client::{Client, Error},
};

use crate::{
    client_tls::{AT_ONCE, fetch, invalid},
    support::{Authority, Front, Pair, Service, service, within_timeout},
};

#[tokio::test(flavor = "multi_thread")]
async fn token_is_sent_with_each_call_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let front = Front::new(None).await;
    let url = format!("http://{}", front.address);
    let authorized = |token: &str| {
        let sent = front.take_authorizations();
        let expected = format!("Bearer {token}");
        !sent.is_empty() && sent.iter().all(|sent| sent.as_deref() == Some(&expected))
    };

    front.require_token("s3cret");
    let client = Client::builder()
        .token("s3cret")
        .connect(&url)
        .await
        .unwrap();
    fetch(&client).await;
    assert!(authorized("s3cret"));

    fs::write(&file, "s3cret\n").unwrap();
    let client = Client::builder().token_file(&file).connect(&url).await;
    let client = client.unwrap();
    fetch(&client).await;
    assert!(authorized("s3cret"));
    front.require_token("rotated");
    fs::write(&file, "rotated\n").unwrap();
    fetch(&client).await;
    assert!(authorized("rotated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_a_wrong_token_end_at_once() {
    let front = Front::new(None).await;
    front.require_token("s3cret");
    let url = format!("http://{}", front.address);
    for (builder, hint) in [
        (Client::builder().token("wr0ng"), ""),
        (Client::builder(), " (this client has no token)"),
    ] {
        let client = builder.connect(&url).await.unwrap();
        let begun = Instant::now();
        // Enough requests for several calls.
        let results = client.fetch((0..15_000).map(|index| format!("http://a.test/{index}")));
        let results = within_timeout(results.concurrency(10).all()).await;
        let single = within_timeout(client.execute("http://a.test/")).await;
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        for (result, url) in results
            .into_iter()
            .map(|result| (result, ""))
            .chain([(single, " for url (http://a.test/)")])
        {
            let error = result.unwrap_err();
            assert!(!error.is_retryable());
            let expected = format!(
                "the call failed (UNAUTHENTICATED): expected a token of this service{hint}{url}"
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_that_one_replica_does_not_know_yet_is_sent_to_another() {
    let (slow, quick) = (Front::new(None).await, Front::new(None).await);
    slow.require_token("old");
    quick.require_token("new");
    let urls = format!(
        "http://127.0.0.1:1,http://{},http://{}",
        slow.address, quick.address
    );
    let client = Client::builder().token("new").connect(&urls).await.unwrap();
    for _ in 0..20 {
        fetch(&client).await;
    }
    let begun = Instant::now();
    quick.require_token("newer");
    let error = client
        .fetch_all(["http://a.test/"])
        .await
        .remove(0)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Call {
                code: Code::Unauthenticated,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn secrets_are_never_shown() {
    let Pair { cert, key } = Authority::new().issue("client.test");
    let line = key.lines().nth(1).unwrap().to_owned();
    let builder = Client::builder()
        .token("s3cret")
        .tls_identity(cert.clone(), key.clone());
    let Service { url, .. } = &service().await;
    let client = Client::builder()
        .token("s3cret")
        .connect(url)
        .await
        .unwrap();
    let wrong = [
        invalid(builder.clone(), url).await,
        // The certificate and the key are mixed up.
        invalid(Client::builder().tls_identity(key, cert), "https://a.test").await,
        invalid(Client::builder().token("s3cret and more"), url).await,
    ];
    let shown = format!("{builder:?} {client:?} {wrong:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains(&line),
        "{shown}"
    );
}
