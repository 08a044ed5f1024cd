//! Processes behind one name, as a Kubernetes Deployment runs them. Each pod is a
//! `fetchd serve` at a loopback address of its own, and all of them have the same port. The
//! user agent of a pod is its address.
//!
//! This needs a network namespace (see [`super::namespace`]), since the name server has
//! the port 53.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_resolver::proto::op::ResponseCode;
use hyper_util::rt::TokioIo;
use rand::seq::IndexedRandom;
use tokio::{net::TcpStream, task::spawn_blocking, time::sleep};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::{Answer, Dns, Process, within_timeout};

/// The URL of the headless Service, whose name has the addresses of all ready pods.
pub(crate) const HEADLESS: &str = "http://fetchd.test:50051";

const PORT: u16 = 50051;

/// How long endpoints and name servers take to learn that a pod is terminating.
const PROPAGATION: Duration = Duration::from_millis(500);

/// How long the name server takes. It's longer than most calls.
const DNS_DELAY: Duration = Duration::from_millis(50);

/// The pods. Dropping it kills them.
pub(crate) struct Cluster {
    flags: Vec<&'static str>,
    pods: Vec<Pod>,
    /// How many pods there have been.
    started: u8,
    ready: Arc<Mutex<Vec<IpAddr>>>,
    _dns: Dns,
}

struct Pod {
    address: IpAddr,
    process: Process,
}

impl Cluster {
    /// Starts `count` pods with these additional flags.
    ///
    /// The name server also knows the hosts `h0.test`, `h1.test` and so on, which all have
    /// the address 127.0.0.1.
    pub(crate) async fn new(count: usize, flags: &[&'static str]) -> Self {
        let ready: Arc<Mutex<Vec<IpAddr>>> = Arc::default();
        let known = Arc::clone(&ready);
        let dns = Dns::at("127.0.0.1:53", move |name| match name {
            "fetchd.test" => Answer::Late(DNS_DELAY, known.lock().unwrap().clone()),
            _ if name.starts_with('h') && name.ends_with(".test") => {
                Answer::Addresses(vec![Ipv4Addr::LOCALHOST.into()])
            }
            // The search domains lead here.
            _ => Answer::Code(ResponseCode::NXDomain),
        });
        let mut cluster = Self {
            flags: flags.to_vec(),
            pods: Vec::new(),
            started: 0,
            ready,
            _dns: dns.await,
        };
        for _ in 0..count {
            cluster.add().await;
        }
        cluster
    }

    /// Starts a pod, and adds it to the name once it's ready.
    pub(crate) async fn add(&mut self) {
        self.started += 1;
        let address = IpAddr::from([127, 0, 1, self.started]);
        let flags = self.flags.clone();
        let process = spawn_blocking(move || {
            let listen = SocketAddr::new(address, PORT).to_string();
            let name = address.to_string();
            let own = ["--listen", &listen, "--user-agent", &name];
            Process::serve(&[&flags[..], &own].concat())
        });
        let process = process.await.unwrap();
        self.pods.push(Pod { address, process });
        self.ready.lock().unwrap().push(address);
    }

    /// Replaces the oldest pod. The new one is ready before the old one gets SIGTERM, and
    /// the old one is still in the name for a while after that.
    pub(crate) async fn replace_oldest(&mut self) {
        self.add().await;
        let oldest = self.pods.remove(0);
        oldest.process.signal("TERM");
        sleep(PROPAGATION).await;
        self.remove_from_name(oldest.address);
        let status = within_timeout(spawn_blocking(|| oldest.process.wait())).await;
        assert_eq!(status.unwrap().code(), Some(0));
    }

    /// Kills the oldest pod, and removes it from the name after `delay`.
    pub(crate) async fn kill_oldest(&mut self, delay: Duration) {
        let oldest = self.pods.remove(0);
        oldest.process.signal("KILL");
        sleep(delay).await;
        self.remove_from_name(oldest.address);
    }

    /// Returns the addresses of all pods, the oldest first.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.pods.iter().map(|pod| pod.address).collect()
    }

    /// Returns a channel to the virtual address of the Service. It has one connection at a
    /// time. Like kube-proxy, we send each new connection to a random ready pod, and leave
    /// it there.
    pub(crate) fn virtual_channel(&self) -> Channel {
        let ready = Arc::clone(&self.ready);
        let connector = service_fn(move |_| {
            let pod = ready.lock().unwrap().choose(&mut rand::rng()).copied();
            async move {
                let pod = pod.ok_or(io::ErrorKind::ConnectionRefused)?;
                let stream = TcpStream::connect((pod, PORT)).await?;
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        Endpoint::from_static("http://fetchd:50051").connect_with_connector_lazy(connector)
    }

    fn remove_from_name(&self, address: IpAddr) {
        let mut ready = self.ready.lock().unwrap();
        ready.retain(|pod| *pod != address);
    }
}
