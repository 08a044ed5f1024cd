//! The slow and the failing hosts.

use serde_json::{Value, json};

use super::{becomes, finish, start, status};
use crate::support::{Origin, Process, caller::loopback, gated_origin, reply};

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_named_only_if_the_operator_wants_that() {
    let origin = Origin::new(|request| async move {
        let mut reply = reply("there");
        if request.uri().path() == "/broken" {
            *reply.status_mut() = http::StatusCode::BAD_GATEWAY;
        }
        reply
    })
    .await;
    let port = origin.address.port();
    let urls = || {
        vec![
            format!("http://user:hunter2@Broken.localhost:{port}/broken?token=hunter2"),
            format!("http://broken.localhost:{port}/path"),
            format!("http://fine.localhost:{port}/path"),
            "http://never sent/".to_owned(),
        ]
    };
    let service = Process::serve(&[]);
    finish(start(&service, loopback(1), urls(), 4).await).await;
    let off = status(&service.admin).await;
    assert_eq!(off["hosts"], Value::Null);
    assert!(!off.to_string().contains("localhost"));

    let service = Process::serve(&["--admin-hosts"]);
    finish(start(&service, loopback(1), urls(), 4).await).await;
    let on = status(&service.admin).await;
    let hosts = &on["hosts"];
    assert_eq!(
        (&hosts["tracked"], &hosts["evicted"]),
        (&json!(2), &json!(0))
    );
    let failing = hosts["failing"].as_array().unwrap();
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0]["host"], "broken.localhost");
    assert_eq!(failing[0]["requests"], 2);
    assert_eq!(failing[0]["failures"], 1);
    let slowest = hosts["slowest"].as_array().unwrap();
    assert_eq!(slowest.len(), 2);
    for secret in ["hunter2", "path", "user", "Broken"] {
        assert!(!hosts.to_string().contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_host_is_the_slowest() {
    let (held, gate) = gated_origin().await;
    let fast = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&["--admin-hosts"]);
    let admin = &service.admin;
    let fast_urls = vec![format!("http://fast.localhost:{}/", fast.address.port())];
    finish(start(&service, loopback(1), fast_urls, 1).await).await;
    let held_urls = || vec![format!("http://held.localhost:{}/", held.address.port()); 3];
    let batch = start(&service, loopback(1), held_urls(), 3).await;
    becomes(admin, "/hosts/slowest/0/host", json!("held.localhost")).await;
    becomes(admin, "/hosts/slowest/0/in_flight", json!(3)).await;
    let status = status(admin).await;
    let slowest = &status["hosts"]["slowest"][0];
    assert!(slowest["recent_mean_s"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (&slowest["requests"], &slowest["mean_s"]),
        (&json!(0), &Value::Null)
    );
    gate.add_permits(3);
    finish(batch).await;
    becomes(admin, "/hosts/slowest/0/in_flight", json!(0)).await;
    becomes(admin, "/hosts/slowest/0/requests", json!(3)).await;
    // Cancelled requests leave, and aren't counted.
    let batch = start(&service, loopback(1), held_urls(), 3).await;
    becomes(admin, "/hosts/slowest/0/in_flight", json!(3)).await;
    drop(batch);
    becomes(admin, "/hosts/slowest/0/in_flight", json!(0)).await;
    becomes(admin, "/hosts/slowest/0/requests", json!(3)).await;
}
