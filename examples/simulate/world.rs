//! Runs a scenario.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use fetchd::client::Client;
use tokio::{
    runtime::Handle,
    task::{JoinHandle, JoinSet},
    time::{self, Instant},
};

use crate::{
    caller::{Context, SERVICE},
    chaos::End,
    list::{BOUND, List},
    machine::Machine,
    network::Network,
    oracle::Oracle,
    origin,
    replica::Replica,
    scenario::Scenario,
    timeline::Timeline,
};

/// Everything that a run consists of.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    /// True if some fault is silent.
    is_silent: bool,
    pub(crate) network: Arc<Network>,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) began: Instant,
    pub(crate) replicas: Vec<Replica>,
    /// Replicas that shut down.
    pub(crate) leaving: JoinSet<()>,
    /// How many machines have had a replica.
    pub(crate) machines: usize,
    pub(crate) origins: Vec<Site>,
    /// How many requests origins have received.
    exchanges: Arc<AtomicU64>,
    /// When each machine's next replica starts.
    pub(crate) starts: Vec<(Instant, IpAddr)>,
    /// When each fault that lasts is over, and what to do then.
    pub(crate) ends: Vec<(Instant, End)>,
}

/// An origin, and where it is.
#[derive(Debug)]
pub(crate) struct Site {
    number: usize,
    /// How often it has moved.
    pub(crate) moves: usize,
    /// `None` while it's down.
    serving: Option<JoinHandle<()>>,
}

impl Site {
    pub(crate) fn is_up(&self) -> bool {
        self.serving.is_some()
    }

    pub(crate) fn ip(&self) -> IpAddr {
        origin::address(self.number, self.moves)
    }
}

/// How often the limits of replicas are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(4);

/// How long parties may take to notice that others are gone. A server's keepalive takes 30 s.
const SETTLE: Duration = Duration::from_mins(1);

/// How long a server takes to stop after the time that it has for its batches: 5 s for their
/// callers to read, and half a second each for late calls and for the rest.
const STOP_BOUND: Duration = Duration::from_secs(8);

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Self {
        let timeline = Arc::new(Timeline::new());
        let oracle = Oracle::new(Arc::clone(&timeline), scenario.limits());
        Self {
            network: Network::new(seed),
            timeline,
            oracle,
            began: Instant::now(),
            is_silent: scenario.faults.iter().any(|timed| timed.fault.is_silent()),
            scenario,
            replicas: Vec::new(),
            leaving: JoinSet::new(),
            machines: 0,
            origins: Vec::new(),
            exchanges: Arc::default(),
            starts: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(crate) fn timeline(&self) -> &Arc<Timeline> {
        &self.timeline
    }

    pub(crate) fn oracle(&self) -> &Arc<Oracle> {
        &self.oracle
    }

    /// Runs everything to its end, and checks what's left.
    pub(crate) async fn run(&mut self) {
        for number in 0..self.scenario.origins.len() {
            self.origins.push(Site {
                number,
                moves: 0,
                serving: None,
            });
            self.start_origin(number);
            self.publish_origin(number);
        }
        for _ in 0..self.scenario.replicas {
            self.start_replica(None);
        }
        self.publish_replicas();
        let mut callers = self.start_callers();
        self.inject_faults().await;
        self.timeline.add("no more faults");
        self.oracle.no_more_faults();
        let bound = self.bound();
        let mut clients = Vec::new();
        let end = Instant::now() + bound;
        while !callers.is_empty() && Instant::now() < end {
            tokio::select! {
                Some(Ok(called)) = callers.join_next() => clients.push(called),
                () = self.sleep_until(end) => {
                    self.oracle
                        .report(format!("lists that last {bound:?} longer than all faults"));
                }
            }
        }
        callers.shutdown().await;
        self.settle().await;
        self.try_again(clients).await;
        self.stop().await;
    }

    /// Waits, and checks the limits of the replicas meanwhile.
    pub(crate) async fn sleep_until(&self, time: Instant) {
        while Instant::now() < time {
            for replica in &self.replicas {
                for excess in replica.excesses() {
                    let ip = replica.ip;
                    self.oracle.report(format!("replica {ip} has {excess}"));
                }
            }
            time::sleep_until(time.min(Instant::now() + CHECK_INTERVAL)).await;
        }
    }

    /// How long the lists may take, now that all faults are over.
    fn bound(&self) -> Duration {
        let lists = self.scenario.lists();
        let own = lists.map(|list| list.starts + list.takes);
        BOUND + own.max().unwrap_or_default()
    }

    fn start_callers(&self) -> JoinSet<(usize, Client)> {
        let mut callers = JoinSet::new();
        for (number, caller) in self.scenario.callers.iter().enumerate() {
            let calling = caller.clone().call(number, self.context(number));
            callers.spawn(async move { (number, calling.await) });
        }
        callers
    }

    fn context(&self, caller: usize) -> Context {
        Context {
            machine: Machine::new(&self.network, caller_ip(caller)),
            origins: self.scenario.origins.clone().into(),
            oracle: Arc::clone(&self.oracle),
            timeline: Arc::clone(&self.timeline),
            is_exact: !self.is_silent,
        }
    }

    /// Checks that everything works again, with the clients that were there all the time.
    async fn try_again(&self, clients: Vec<(usize, Client)>) {
        let origins = self.scenario.origins.iter().enumerate();
        let healthy = origins.filter(|(_, origin)| origin.behavior.is_healthy());
        let healthy: Vec<_> = healthy.map(|(number, _)| number).collect();
        for (number, client) in clients {
            let list = List::after_all(healthy.clone());
            let (name, context) = (format!("{number}/after all"), self.context(number));
            let sent = time::timeout(BOUND, list.send(&name, &client, &context)).await;
            if sent.is_err() {
                self.oracle
                    .report(format!("list {name} lasts more than {BOUND:?}"));
            }
        }
    }

    pub(crate) fn start_origin(&mut self, number: usize) {
        let site = &mut self.origins[number];
        let machine = Machine::new(&self.network, site.ip());
        let origin = self.scenario.origins[number].clone();
        let exchanges = Arc::clone(&self.exchanges);
        let serving = origin.serve(machine, Arc::clone(&self.oracle), exchanges);
        site.serving = Some(tokio::spawn(serving));
    }

    /// Ends the process of an origin. Its machine refuses connections.
    pub(crate) async fn stop_origin(&mut self, number: usize) {
        let site = &mut self.origins[number];
        self.network.crash(site.ip(), true);
        if let Some(serving) = site.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    pub(crate) fn publish_origin(&self, number: usize) {
        let host = &self.scenario.origins[number].host;
        let addresses = vec![self.origins[number].ip()];
        self.network
            .set_name(host, addresses, Duration::from_secs(5));
    }

    /// Starts a replica, at a new address unless it's given one.
    pub(crate) fn start_replica(&mut self, ip: Option<IpAddr>) {
        let ip = ip.unwrap_or_else(|| self.next_ip());
        self.network.boot(ip);
        let machine = Machine::new(&self.network, ip);
        self.replicas
            .push(Replica::start(&machine, &self.scenario.config));
        self.timeline.add(format_args!("replica {ip} starts"));
        self.publish_replicas_later();
    }

    /// Lets the name have the present addresses after a while, as in Kubernetes.
    pub(crate) fn publish_replicas_later(&mut self) {
        let at = Instant::now() + self.scenario.name_lag;
        self.ends.push((at, End::Published));
    }

    pub(crate) fn publish_replicas(&self) {
        let addresses = self.replicas.iter().map(|replica| replica.ip).collect();
        self.network.set_name(SERVICE, addresses, Duration::ZERO);
    }

    /// Lets a replica shut down.
    pub(crate) fn drain_replica(&mut self, at: usize) {
        let mut replica = self.replicas.remove(at);
        self.publish_replicas_later();
        self.timeline
            .add(format_args!("replica {} drains", replica.ip));
        replica.drain();
        let config = &self.scenario.config;
        let lasts = config.drain_delay + config.drain_timeout;
        let bound = lasts + STOP_BOUND;
        self.oracle.drains(replica.ip, lasts);
        let (network, oracle) = (Arc::clone(&self.network), Arc::clone(&self.oracle));
        let timeline = Arc::clone(&self.timeline);
        self.leaving.spawn(async move {
            let ip = replica.ip;
            if !replica.drained(bound).await {
                oracle.report(format!("replica {ip} drains for more than {bound:?}"));
            }
            for bug in replica.bugs() {
                oracle.report(format!("replica {ip} has {bug}"));
            }
            network.crash(ip, true);
            replica.kill().await;
            timeline.add(format_args!("replica {ip} has exited"));
        });
    }

    pub(crate) fn next_ip(&mut self) -> IpAddr {
        self.machines += 1;
        let [.., high, low] = self.machines.to_be_bytes();
        IpAddr::from([10, 1, high, low])
    }

    /// Waits until everybody has noticed who's gone, and checks that nothing is left.
    async fn settle(&mut self) {
        for address in self.network.forbidden_dials() {
            self.oracle
                .report(format!("a replica has dialled {address}"));
        }
        while self.leaving.join_next().await.is_some() {}
        time::sleep(SETTLE).await;
        for replica in &self.replicas {
            for left in replica.leftovers().into_iter().chain(replica.bugs()) {
                let ip = replica.ip;
                self.oracle.report(format!("replica {ip} still has {left}"));
            }
        }
    }

    /// Stops everything, and checks that no task is left.
    async fn stop(&mut self) {
        while !self.replicas.is_empty() {
            self.drain_replica(0);
        }
        while self.leaving.join_next().await.is_some() {}
        for number in 0..self.origins.len() {
            self.stop_origin(number).await;
        }
        time::sleep(Duration::from_secs(1)).await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        if tasks > 0 {
            self.oracle.report(format!("{tasks} tasks are left"));
        }
    }
}

pub(crate) fn caller_ip(number: usize) -> IpAddr {
    IpAddr::from([10, 2, 0, u8::try_from(number).unwrap_or(u8::MAX)])
}
