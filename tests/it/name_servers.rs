//! Name servers that are slow or answer wrongly, and machines that have none. Only the
//! names that need them must fail, and none of them may delay the others.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::{Duration, Instant},
};

use fetchd::{
    client::{Client, Request},
    config::Config,
    proto::Reason,
};

use crate::support::{
    Answer, Dns, Origin, Process, allow_loopback, check,
    namespace::{self, Network},
    reply, row, service_with, within_timeout,
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Long enough for any answer from this machine.
const TIMEOUT: Duration = Duration::from_millis(500);

fn with_dns(dns: &Dns) -> Config {
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_answers_are_dns_errors() {
    /// The start of an answer with one question and one record. The question's name
    /// points to itself.
    const LOOP: &[u8] = b"\x81\x80\0\x01\0\x01\0\0\0\0\xc0\x0c\0\x01\0\x01";

    let dns = Dns::new(|name| match name {
        "nothing.test" => Answer::Bytes(b""),
        "short.test" => Answer::Bytes(b"\x81\x80"),
        "garbage.test" => Answer::Bytes(&[0xff; 100]),
        "loop.test" => Answer::Bytes(LOOP),
        "cut.test" => Answer::Truncated,
        "forged.test" => Answer::OfOther("other.test", vec![LOCAL]),
        _ => Answer::Addresses(vec![LOCAL]),
    })
    .await;
    let service = service_with(with_dns(&dns)).await;
    let rows = ["nothing", "short", "garbage", "loop", "cut", "forged"].map(|name| {
        let request = Request::get(format!("http://{name}.test:1/")).connect_timeout(TIMEOUT);
        row(name, request, Reason::Dns, true)
    });
    check(&service.client().await, rows.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_used_and_delays_no_other_name() {
    const LATE: Duration = Duration::from_secs(2);

    let origin = Origin::new(|_| async { reply("there") }).await;
    let port = origin.address.port();
    let dns = Dns::new(|name| match name.split_once('.').unwrap().0 {
        "late" => Answer::Late(LATE, vec![LOCAL]),
        name if name.starts_with("silent") => Answer::NoReply,
        _ => Answer::Addresses(vec![LOCAL]),
    })
    .await;
    let service = service_with(with_dns(&dns)).await;
    let client = service.client().await;
    let late = client.fetch([format!("http://late.test:{port}/")]).all();
    let silent = (0..300).map(|index| format!("http://silent{index}.test:{port}/"));
    let silent = client.fetch(silent).concurrency(300).all();
    let begun = Instant::now();
    let other = async {
        let mut slowest = Duration::ZERO;
        // Every one of these names is looked up.
        for index in 0..20 {
            let begun = Instant::now();
            let url = format!("http://other{index}.test:{port}/");
            assert!(client.fetch_all([url]).await[0].is_ok());
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    let slowest = within_timeout(async {
        tokio::select! {
            _ = silent => panic!("a name that has no answer was found"),
            (late, slowest) = async { tokio::join!(late, other) } => {
                assert!(late[0].is_ok(), "{late:?}");
                slowest
            }
        }
    })
    .await;
    let took = begun.elapsed();
    println!("beside 300 silent names: a late one after {took:?}, the others after {slowest:?}");
    assert!(took >= LATE, "{took:?}");
    assert!(slowest < LATE, "{slowest:?}");
}

/// Runs `fetchd get` with these arguments. Returns its exit code and its output.
fn get(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fetchd"));
    let output = command.arg("get").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn without_name_servers_only_names_fail() {
    let name = "name_servers::without_name_servers_only_names_fail";
    if namespace::enter(name, "127.0.0.1 localhost\n") != Some(Network::Isolated) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for servers in ["", "nameserver nowhere\n", "nameserver 127.0.0.1\n"] {
        // This is the namespace's own file.
        std::fs::write("/etc/resolv.conf", servers).unwrap();
        runtime.block_on(async {
            let origin = Origin::new(|_| async { reply("there") }).await;
            let port = origin.address.port();
            let service = Process::serve(&[]);
            let client = Client::connect(&service.url).await.unwrap();
            let known = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{port}/"));
            for result in within_timeout(client.fetch_all(known.clone())).await {
                assert!(result.is_ok(), "{servers:?}: {result:?}");
            }
            let unknown = format!("http://name.test:{port}/");
            let request = Request::get(unknown.clone()).connect_timeout(TIMEOUT);
            check(&client, vec![row("unknown", request, Reason::Dns, true)]).await;

            let allow = ["--allow-net", "127.0.0.0/8", "--timeout", "1s"];
            let urls = [&known[0], &known[1], &unknown].map(String::as_str);
            let (code, text) = get(&[&allow[..], &urls].concat());
            assert_eq!(code, Some(1), "{servers:?}: {text}");
            assert_eq!(
                text.matches("\"status\":200").count(),
                2,
                "{servers:?}: {text}"
            );

            // The client looks up the name of the service itself.
            let by_name = service.url.replace("127.0.0.1", "localhost");
            let (code, text) = get(&["--server", &by_name, &known[0]]);
            assert_eq!(code, Some(0), "{servers:?}: {text}");
            let by_name = service.url.replace("127.0.0.1", "name.test");
            let limit = ["--give-up-after", "1s"];
            let (code, text) = get(&[&["--server", &by_name, &known[0]][..], &limit].concat());
            assert_eq!(code, Some(3), "{servers:?}: {text}");
            assert!(
                text.contains("no address found for name.test"),
                "{servers:?}: {text}"
            );
        });
    }
}
