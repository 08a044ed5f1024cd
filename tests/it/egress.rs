//! There's no way to reach a denied address, neither by URL, nor by redirect, nor by DNS
//! answer.
//!
//! The tests run in a network namespace in which every address answers. This way we
//! notice every connection.

mod urls;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fetchd::{
    client::{Outcome, Request},
    config::Config,
    proto::Reason,
};
use futures_util::StreamExt;
use hickory_resolver::proto::op::ResponseCode;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    Answer, Dns, RawOrigin, Service, allow_loopback, finish,
    namespace::{self, Network},
    read_head, service_with, within_timeout,
};

const HOSTS: &str = "127.0.0.1 localhost\n10.9.8.7 inside.hosts\n1.1.1.1 outside.hosts\n";

/// An origin that answers on every address and remembers on which ones it did.
struct Canary {
    visited: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    origins: Vec<RawOrigin>,
}

impl Canary {
    /// Listens on `addresses`.
    async fn new(addresses: &[&str]) -> Self {
        let visited = Arc::new(Mutex::default());
        let mut origins = Vec::new();
        for address in addresses {
            let visited = Arc::clone(&visited);
            let answer = move |stream| answer(stream, Arc::clone(&visited));
            origins.push(RawOrigin::at(address, answer).await);
        }
        Self { visited, origins }
    }

    fn visited(&self) -> BTreeMap<IpAddr, usize> {
        self.visited.lock().unwrap().clone()
    }
}

/// Answers a request.
///
/// `/3xx/N` redirects to number N of [`redirects`], `/again/HOST` redirects to the same
/// `HOST` but on another port, and `/lost` closes the connection. All other paths get a
/// 200.
async fn answer(mut stream: TcpStream, visited: Arc<Mutex<BTreeMap<IpAddr, usize>>>) {
    let address = stream.local_addr().unwrap().ip().to_canonical();
    *visited.lock().unwrap().entry(address).or_default() += 1;
    let head = read_head(&mut stream).await;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut steps = path.trim_start_matches('/').split('/');
    let (first, second) = (steps.next().unwrap_or_default(), steps.next());
    let (status, location) = match (first, second) {
        ("lost", _) => return,
        ("again", Some(host)) => ("302", format!("http://{host}:443/")),
        (status, Some(target)) if status.starts_with('3') => {
            let target: usize = target.parse().unwrap();
            (status, redirects().swap_remove(target))
        }
        _ => ("200", String::new()),
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 6\r\nconnection: close\r\n\r\ncanary"
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    finish(stream).await;
}

/// Returns redirect targets that must not be reached.
fn redirects() -> Vec<String> {
    // We can't put these characters into a header value.
    let hosts = urls::LOOPBACK
        .iter()
        .chain(&urls::PRIVATE)
        .filter(|host| !host.contains(['\t', '\r']));
    let mut all = strings(&urls::REDIRECTS);
    all.extend(hosts.map(|host| format!("http://{host}/")));
    all
}

fn block_on(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(body);
}

async fn outcomes(service: &Service, urls: impl IntoIterator<Item = String>) -> Vec<Outcome> {
    let requests = urls.into_iter().map(Request::get);
    let client = service.client().await;
    within_timeout(client.fetch(requests).in_order().collect()).await
}

fn reason(outcome: &Outcome) -> Option<Reason> {
    outcome.error.as_ref().and_then(|error| error.reason())
}

/// Checks that all `urls` fail with `expected`, without a second attempt.
async fn all_are(service: &Service, expected: Reason, urls: Vec<String>) {
    let outcomes = outcomes(service, urls.clone()).await;
    for (url, outcome) in urls.iter().zip(&outcomes) {
        assert_eq!(reason(outcome), Some(expected), "{url:?}: {outcome:?}");
        assert!(outcome.stats.attempts <= 1, "{url:?}: {outcome:?}");
        assert!(!outcome.error.as_ref().unwrap().is_retryable(), "{url:?}");
    }
    println!("{expected:?}: {} rows", urls.len());
}

#[test]
fn urls_of_denied_addresses_are_blocked() {
    match namespace::enter("egress::urls_of_denied_addresses_are_blocked", HOSTS) {
        Some(Network::Isolated) => block_on(async {
            let canary = Canary::new(&["[::]:80", "[::]:443", "[::]:8080"]).await;
            let service = service_with(Config::default()).await;
            let hosts = || urls::LOOPBACK.iter().chain(&urls::PRIVATE);
            let mut blocked: Vec<_> = hosts().map(|host| format!("http://{host}/")).collect();
            blocked.extend(hosts().map(|host| format!("https://{host}:8080/x?y")));
            all_are(&service, Reason::Blocked, blocked).await;
            assert_eq!(canary.visited(), BTreeMap::new());

            all_are(&service, Reason::InvalidRequest, strings(&urls::INVALID)).await;
            assert_eq!(canary.visited(), BTreeMap::new());

            // Make sure that allowed addresses do reach the canary.
            for outcome in outcomes(&service, strings(&urls::PUBLIC)).await {
                let response = outcome.response.as_ref();
                let body = response.map(|response| &response.body[..]);
                assert_eq!(body, Some(&b"canary"[..]), "{outcome:?}");
            }
            let visits: usize = canary.visited().values().sum();
            assert_eq!(visits, urls::PUBLIC.len(), "{:?}", canary.visited());
        }),
        Some(Network::Host) => block_on(async {
            let canary = Canary::new(&["127.0.0.1:0"]).await;
            let service = service_with(Config::default()).await;
            let port = canary.origins[0].address.port();
            let hosts = urls::LOOPBACK.iter();
            let hosts =
                hosts.map(|host| format!("http://{}:{port}/", host.trim_end_matches('\u{ad}')));
            all_are(&service, Reason::Blocked, hosts.collect()).await;
            all_are(&service, Reason::InvalidRequest, strings(&urls::INVALID)).await;
            assert_eq!(canary.visited(), BTreeMap::new());
        }),
        None => {}
    }
}

#[test]
fn redirects_to_denied_addresses_are_blocked() {
    if namespace::enter("egress::redirects_to_denied_addresses_are_blocked", HOSTS)
        != Some(Network::Isolated)
    {
        return;
    }
    block_on(async {
        let canary = Canary::new(&["[::]:80", "[::]:443"]).await;
        let service = service_with(Config::default()).await;
        let targets = 0..redirects().len();
        let to = |status| {
            targets
                .clone()
                .map(move |to| format!("http://1.1.1.1/{status}/{to}"))
        };
        for status in [301, 302, 303, 307, 308] {
            all_are(&service, Reason::Blocked, to(status).collect()).await;
        }
        // None of these is a redirect, even if there's a Location.
        for status in [300, 304, 305, 306, 399] {
            for outcome in outcomes(&service, to(status)).await {
                assert_eq!(outcome.response.unwrap().status, status);
            }
        }
        let visited: BTreeSet<_> = canary.visited().into_keys().collect();
        assert_eq!(visited, BTreeSet::from(["1.1.1.1".parse().unwrap()]));
    });
}

#[test]
fn names_of_denied_addresses_are_blocked() {
    if namespace::enter("egress::names_of_denied_addresses_are_blocked", HOSTS)
        != Some(Network::Isolated)
    {
        return;
    }
    block_on(async {
        let addresses = || {
            let hosts = urls::LOOPBACK.iter().chain(&urls::PRIVATE);
            hosts.filter_map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok())
        };
        let mut zone: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (position, address) in addresses().enumerate() {
            zone.insert(format!("n{position}.hostile"), vec![address]);
        }
        zone.insert("all.hostile".to_owned(), addresses().take(40).collect());
        let mut blocked: Vec<_> = zone.keys().map(|name| format!("http://{name}/")).collect();
        for name in [
            "alias.hostile",
            "long.alias.hostile",
            "inside.hosts",
            "INSIDE.hosts.",
        ] {
            blocked.push(format!("http://{name}/"));
        }
        let public: IpAddr = "1.1.1.1".parse().unwrap();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let asked = AtomicUsize::new(0);
        let _dns = Dns::at("127.0.0.1:53", move |name| match name {
            "alias.hostile" => Answer::Alias(vec!["db.prod.svc.cluster.local"], vec![loopback]),
            "long.alias.hostile" => Answer::Alias(
                vec!["a.example", "b.example", "c.example"],
                vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            ),
            "mixed.hostile" => Answer::Addresses(vec![
                loopback,
                public,
                "::1".parse().unwrap(),
                "10.0.0.1".parse().unwrap(),
                "::ffff:127.0.0.1".parse().unwrap(),
            ]),
            // A public address for the first two queries (A and AAAA), and a loopback
            // address for the next two.
            "rebind.hostile" => match asked.fetch_add(1, Ordering::SeqCst) % 4 {
                0 | 1 => Answer::Uncacheable(vec![public]),
                _ => Answer::Uncacheable(vec![loopback, "::1".parse().unwrap()]),
            },
            name => match zone.get(name) {
                Some(addresses) => Answer::Addresses(addresses.clone()),
                None => Answer::Code(ResponseCode::NXDomain),
            },
        })
        .await;
        let canary = Canary::new(&["[::]:80", "[::]:443"]).await;
        let service = service_with(Config::default()).await;
        all_are(&service, Reason::Blocked, blocked).await;
        assert_eq!(canary.visited(), BTreeMap::new());

        // If a name has both public and private addresses, only the public ones are
        // dialed.
        let there = strings(&["http://mixed.hostile/", "http://outside.hosts/"]);
        for outcome in outcomes(&service, there).await {
            assert_eq!(outcome.response.unwrap().body, "canary");
        }
        // The second lookup gets checked as well, no matter if it's for a new request, a
        // redirect or a second attempt.
        let first = outcomes(&service, strings(&["http://rebind.hostile/"])).await;
        assert!(first[0].error.is_none(), "{first:?}");
        for (path, attempts) in [("", 1), ("again/rebind.hostile", 1), ("lost", 2)] {
            let outcome = &outcomes(&service, [format!("http://rebind.hostile/{path}")]).await[0];
            assert_eq!(
                reason(outcome),
                Some(Reason::Blocked),
                "{path}: {outcome:?}"
            );
            assert_eq!(outcome.stats.attempts, attempts, "{path}");
        }
        let visited: Vec<_> = canary.visited().into_keys().collect();
        assert_eq!(visited, [public]);
    });
}

#[test]
fn search_domains_are_not_used() {
    if namespace::enter("egress::search_domains_are_not_used", HOSTS) != Some(Network::Isolated) {
        return;
    }
    block_on(async {
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let noted = Arc::clone(&asked);
        let _dns = Dns::at("127.0.0.1:53", move |name| {
            noted.lock().unwrap().insert(name.to_owned());
            if name.ends_with("cluster.local") {
                Answer::Addresses(vec!["1.1.1.1".parse().unwrap()])
            } else {
                Answer::Code(ResponseCode::NXDomain)
            }
        })
        .await;
        let canary = Canary::new(&["[::]:80"]).await;
        let service = service_with(Config::default()).await;
        all_are(
            &service,
            Reason::Dns,
            strings(&[
                "http://kubernetes/",
                "http://db.prod/",
                "http://db.prod.svc/",
            ]),
        )
        .await;
        let asked: Vec<_> = asked.lock().unwrap().iter().cloned().collect();
        assert_eq!(asked, ["db.prod", "db.prod.svc", "kubernetes"]);
        assert_eq!(canary.visited(), BTreeMap::new());
    });
}

#[test]
fn an_allowed_network_allows_no_other() {
    let name = "egress::an_allowed_network_allows_no_other";
    if namespace::enter(name, HOSTS) != Some(Network::Isolated) {
        return;
    }
    block_on(async {
        let canary = Canary::new(&["[::]:80"]).await;
        let service = service_with(allow_loopback()).await;
        let hosts = urls::LOOPBACK.iter().chain(&urls::PRIVATE);
        let urls: Vec<_> = hosts.map(|host| format!("http://{host}/")).collect();
        for (url, outcome) in urls.iter().zip(outcomes(&service, urls.clone()).await) {
            assert!(
                outcome.error.is_none() || reason(&outcome) == Some(Reason::Blocked),
                "{url}: {outcome:?}"
            );
        }
        // A NAT64 address contains an IPv4 address, and that's the one to check.
        let visited: Vec<_> = canary.visited().into_keys().collect();
        let open = ["127.0.0.1", "127.255.255.254", "64:ff9b::7f00:1"];
        assert_eq!(
            visited,
            open.map(|address| address.parse::<IpAddr>().unwrap())
        );
    });
}

fn strings(urls: &[&str]) -> Vec<String> {
    urls.iter().map(|url| (*url).to_owned()).collect()
}
