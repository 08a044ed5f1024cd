//! Runs a scenario.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use fetchd::client::Client;
use futures_util::future::join_all;
use tokio::{
    runtime::Handle,
    task::{JoinHandle, JoinSet},
    time::{self, Instant},
};

use crate::{
    caller::{Desk, List, SERVICE},
    fault::{Fault, Party},
    machine::Machine,
    network::{NAME_SERVER, Network},
    oracle::Oracle,
    origin,
    replica::Replica,
    scenario::{Scenario, Weather},
    timeline::Timeline,
};

/// Everything that a run consists of.
pub(crate) struct World {
    scenario: Scenario,
    network: Arc<Network>,
    timeline: Arc<Timeline>,
    oracle: Arc<Oracle>,
    began: Instant,
    replicas: Vec<Replica>,
    /// Replicas that shut down.
    leaving: JoinSet<()>,
    /// How many machines have had a replica.
    machines: usize,
    origins: Vec<Running>,
    /// When each machine's next replica starts.
    starts: Vec<(Instant, IpAddr)>,
    /// When each fault that lasts is over, and what to do then.
    ends: Vec<(Instant, End)>,
}

/// An origin that answers.
struct Running {
    ip: IpAddr,
    /// How often it has moved.
    moves: usize,
    serving: JoinHandle<()>,
}

/// The end of a fault.
enum End {
    Mended(IpAddr, IpAddr),
    Thawed(IpAddr),
    Named(usize),
}

/// How long a list may take once all faults are over, apart from what its own requests take.
///
/// The client notices a silent service after 30 s, and gives up after another 30 s without
/// any. Then a replica that was ejected is tried again after at most 7.5 s, or a minute if it
/// was full.
const BOUND: Duration = Duration::from_secs(200);

/// How long parties may take to notice that others are gone. A server's keepalive takes 30 s.
const SETTLE: Duration = Duration::from_secs(60);

/// How long a cancelled request may still be sent: until the replica knows, and 100 ms.
const CANCEL_BOUND: Duration = Duration::from_millis(100 + 450);

/// The same if the caller's connection may have been cut.
const CANCEL_BOUND_CUT: Duration = Duration::from_secs(75);

/// How long a server takes to stop after the time that it has for its batches: 5 s for their
/// callers to read, and half a second each for late calls and for the rest.
const STOP_BOUND: Duration = Duration::from_secs(8);

/// An address in the cluster, which the service must not reach for anybody.
const FORBIDDEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 99));

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Self {
        let timeline = Arc::new(Timeline::new());
        let oracle = Oracle::new(Arc::clone(&timeline), scenario.limits());
        Self {
            network: Network::new(seed),
            timeline,
            oracle,
            began: Instant::now(),
            scenario,
            replicas: Vec::new(),
            leaving: JoinSet::new(),
            machines: 0,
            origins: Vec::new(),
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
        let guard = self.guard_the_forbidden();
        let exchanges = Arc::new(AtomicU64::new(0));
        for number in 0..self.scenario.origins.len() {
            let running = self.start_origin(number, 0, &exchanges);
            self.origins.push(running);
            self.publish_origin(number);
        }
        for _ in 0..self.scenario.replicas {
            self.start_replica(None);
        }
        let mut callers = self.start_callers();
        self.inject_faults(&exchanges).await;
        self.timeline.add("no more faults");
        self.oracle.no_more_faults();
        let bound = self.bound();
        let mut clients = Vec::new();
        let ended = time::timeout(bound, async {
            while let Some(Ok(client)) = callers.join_next().await {
                clients.push(client);
            }
        });
        if ended.await.is_err() {
            self.oracle
                .complain(format!("lists that last {bound:?} longer than all faults"));
        }
        callers.shutdown().await;
        self.settle().await;
        self.try_again(clients).await;
        self.stop(guard).await;
    }

    /// How long the lists may take, now that all faults are over.
    fn bound(&self) -> Duration {
        let callers = self.scenario.callers.iter();
        let lists = callers.flat_map(|caller| &caller.lists);
        let own = lists.map(|list| list.starts + list.bound());
        BOUND + own.max().unwrap_or_default()
    }

    fn start_callers(&self) -> JoinSet<Client> {
        let mut callers = JoinSet::new();
        for (number, caller) in self.scenario.callers.iter().enumerate() {
            callers.spawn(caller.clone().call(number, self.desk(number)));
        }
        callers
    }

    fn desk(&self, caller: usize) -> Desk {
        let is_stormy = self.scenario.weather == Weather::Storm;
        Desk {
            machine: Machine::new(&self.network, caller_ip(caller)),
            origins: self.scenario.origins.clone().into(),
            oracle: Arc::clone(&self.oracle),
            timeline: Arc::clone(&self.timeline),
            is_exact: !is_stormy,
            cancel_bound: match is_stormy {
                true => CANCEL_BOUND_CUT,
                false => CANCEL_BOUND,
            },
        }
    }

    /// Checks that everything works again, with the clients that were there all the time.
    async fn try_again(&self, clients: Vec<Client>) {
        let origins = self.scenario.origins.iter().enumerate();
        let healthy = origins.filter(|(_, origin)| origin.habits.is_healthy());
        let healthy: Vec<_> = healthy.map(|(number, _)| number).collect();
        for (number, client) in clients.into_iter().enumerate() {
            let list = List::after_all(healthy.clone());
            let name = format!("{number}/after all");
            list.send(&name, &client, &self.desk(number)).await;
        }
    }

    /// Complains about each connection to a forbidden address.
    fn guard_the_forbidden(&self) -> JoinHandle<()> {
        let listener = Machine::new(&self.network, FORBIDDEN).listen(80);
        let oracle = Arc::clone(&self.oracle);
        tokio::spawn(async move {
            use fetchd::net::Listener;
            while let Ok((_, peer)) = listener.accept().await {
                oracle.complain(format!("{peer} has reached a forbidden address"));
            }
        })
    }

    fn start_origin(&self, number: usize, moves: usize, exchanges: &Arc<AtomicU64>) -> Running {
        let ip = origin::address(number, moves);
        let machine = Machine::new(&self.network, ip);
        let origin = self.scenario.origins[number].clone();
        let serving = origin.serve(machine, Arc::clone(&self.oracle), Arc::clone(exchanges));
        Running {
            ip,
            moves,
            serving: tokio::spawn(serving),
        }
    }

    fn publish_origin(&self, number: usize) {
        let host = &self.scenario.origins[number].host;
        let addresses = vec![self.origins[number].ip];
        self.network
            .set_name(host, addresses, Duration::from_secs(5));
    }

    /// Starts a replica, at a new address unless it's given one.
    fn start_replica(&mut self, ip: Option<IpAddr>) {
        let ip = ip.unwrap_or_else(|| self.next_ip());
        self.network.boot(ip);
        let machine = Machine::new(&self.network, ip);
        self.replicas
            .push(Replica::start(&machine, &self.scenario.config));
        self.timeline.add(format_args!("replica {ip} starts"));
        self.publish_replicas();
    }

    fn publish_replicas(&self) {
        let addresses = self.replicas.iter().map(|replica| replica.ip).collect();
        self.network.set_name(SERVICE, addresses, Duration::ZERO);
    }

    /// Lets a replica shut down. The name forgets it at once.
    fn drain_replica(&mut self, at: usize) {
        let mut replica = self.replicas.remove(at);
        self.publish_replicas();
        self.timeline
            .add(format_args!("replica {} drains", replica.ip));
        replica.drain();
        let config = &self.scenario.config;
        let bound = config.drain_delay + config.drain_timeout + STOP_BOUND;
        let (network, oracle) = (Arc::clone(&self.network), Arc::clone(&self.oracle));
        let timeline = Arc::clone(&self.timeline);
        self.leaving.spawn(async move {
            let ip = replica.ip;
            if !replica.drained(bound).await {
                oracle.complain(format!("replica {ip} drains for more than {bound:?}"));
            }
            network.crash(ip, true);
            replica.kill().await;
            timeline.add(format_args!("replica {ip} has exited"));
        });
    }

    /// Injects all faults, and waits for their ends.
    async fn inject_faults(&mut self, exchanges: &Arc<AtomicU64>) {
        let mut faults = std::mem::take(&mut self.scenario.faults)
            .into_iter()
            .peekable();
        loop {
            let next_fault = faults.peek().map(|timed| self.began + timed.at);
            let next_start = self.starts.iter().map(|(at, _)| *at).min();
            let next_end = self.ends.iter().map(|(at, _)| *at).min();
            let Some(next) = [next_fault, next_start, next_end]
                .into_iter()
                .flatten()
                .min()
            else {
                return;
            };
            time::sleep_until(next).await;
            let now = Instant::now();
            let (due, later) = self.ends.drain(..).partition(|(at, _)| *at <= now);
            self.ends = later;
            due.into_iter().for_each(|(_, end)| self.end(end));
            let (due, later) = self.starts.drain(..).partition(|(at, _)| *at <= now);
            self.starts = later;
            for (_, ip) in due {
                self.start_replica(Some(ip));
            }
            if let Some(timed) = faults.next_if(|timed| self.began + timed.at <= now) {
                self.begin(timed.fault, exchanges).await;
            }
        }
    }

    async fn begin(&mut self, fault: Fault, exchanges: &Arc<AtomicU64>) {
        let replicas = self.replicas.len();
        match fault {
            Fault::Grow => self.start_replica(None),
            Fault::Shrink { replica } if replicas > 1 => self.drain_replica(replica % replicas),
            Fault::Replace { replica } if replicas > 0 => {
                self.start_replica(None);
                self.drain_replica(replica % replicas);
            }
            Fault::Crash {
                replica,
                told,
                same_address,
                back_after,
            } if replicas > 0 => {
                let replica = self.replicas.remove(replica % replicas);
                let ip = replica.ip;
                let how = if told { "crashes" } else { "vanishes" };
                self.timeline.add(format_args!("replica {ip} {how}"));
                self.network.crash(ip, told);
                replica.kill().await;
                let next = if same_address { ip } else { self.next_ip() };
                self.publish_replicas();
                self.starts.push((Instant::now() + back_after, next));
            }
            Fault::Hang { replica, lasts } if replicas > 0 => {
                let ip = self.replicas[replica % replicas].ip;
                self.timeline
                    .add(format_args!("replica {ip} hangs for {lasts:?}"));
                self.network.set_silent(ip, true);
                self.ends.push((Instant::now() + lasts, End::Thawed(ip)));
            }
            Fault::HangCaller { caller, lasts } => {
                let ip = caller_ip(caller % self.scenario.callers.len());
                self.timeline
                    .add(format_args!("caller {ip} hangs for {lasts:?}"));
                self.network.set_silent(ip, true);
                self.ends.push((Instant::now() + lasts, End::Thawed(ip)));
            }
            Fault::Partition { one, other, lasts } => {
                if let (Some(one), Some(other)) = (self.ip_of(one), self.ip_of(other)) {
                    self.timeline
                        .add(format_args!("{one} and {other} are cut off for {lasts:?}"));
                    self.network.set_cut(one, other, true);
                    self.ends
                        .push((Instant::now() + lasts, End::Mended(one, other)));
                }
            }
            Fault::Move { origin } => {
                self.move_origin(origin % self.origins.len(), exchanges)
                    .await
            }
            Fault::BadName {
                origin,
                is_forbidden,
                lasts,
            } => {
                let number = origin % self.origins.len();
                let host = &self.scenario.origins[number].host;
                let addresses = if is_forbidden {
                    vec![FORBIDDEN]
                } else {
                    Vec::new()
                };
                self.timeline.add(format_args!(
                    "{host} has the addresses {addresses:?} for {lasts:?}"
                ));
                self.network
                    .set_name(host, addresses, Duration::from_secs(1));
                self.ends.push((Instant::now() + lasts, End::Named(number)));
            }
            Fault::Crash { .. }
            | Fault::Replace { .. }
            | Fault::Hang { .. }
            | Fault::Shrink { .. } => {}
        }
    }

    fn end(&mut self, end: End) {
        match end {
            End::Mended(one, other) => {
                self.timeline
                    .add(format_args!("{one} and {other} are connected again"));
                self.network.set_cut(one, other, false);
            }
            End::Thawed(ip) => {
                self.timeline.add(format_args!("{ip} hangs no more"));
                self.network.set_silent(ip, false);
            }
            End::Named(number) => self.publish_origin(number),
        }
    }

    async fn move_origin(&mut self, number: usize, exchanges: &Arc<AtomicU64>) {
        let old = &self.origins[number];
        let moves = old.moves + 1;
        let new = self.start_origin(number, moves, exchanges);
        let old = std::mem::replace(&mut self.origins[number], new);
        self.timeline.add(format_args!(
            "origin {number} moves from {} to {}",
            old.ip, self.origins[number].ip
        ));
        self.network.crash(old.ip, true);
        old.serving.abort();
        let _ = old.serving.await;
        self.publish_origin(number);
    }

    fn next_ip(&mut self) -> IpAddr {
        self.machines += 1;
        let [.., high, low] = self.machines.to_be_bytes();
        IpAddr::from([10, 1, high, low])
    }

    fn ip_of(&self, party: Party) -> Option<IpAddr> {
        match party {
            Party::Replica(number) => {
                let replicas = self.replicas.len();
                (replicas > 0).then(|| self.replicas[number % replicas].ip)
            }
            Party::Caller(number) => Some(caller_ip(number % self.scenario.callers.len())),
            Party::Origin(number) => Some(self.origins[number % self.origins.len()].ip),
            Party::NameServer => Some(NAME_SERVER),
        }
    }

    /// Waits until everybody has noticed who's gone, and checks that nothing is left.
    async fn settle(&mut self) {
        while self.leaving.join_next().await.is_some() {}
        time::sleep(SETTLE).await;
        for replica in &self.replicas {
            for left in replica.leftovers() {
                let ip = replica.ip;
                self.oracle
                    .complain(format!("replica {ip} still has {left}"));
            }
        }
    }

    /// Stops everything, and checks that no task is left.
    async fn stop(&mut self, guard: JoinHandle<()>) {
        while !self.replicas.is_empty() {
            self.drain_replica(0);
        }
        while self.leaving.join_next().await.is_some() {}
        let mut tasks: Vec<_> = self
            .origins
            .drain(..)
            .map(|origin| origin.serving)
            .collect();
        tasks.push(guard);
        tasks.iter().for_each(JoinHandle::abort);
        join_all(tasks).await;
        time::sleep(Duration::from_secs(1)).await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        if tasks > 0 {
            self.oracle.complain(format!("{tasks} tasks are left"));
        }
    }
}

fn caller_ip(number: usize) -> IpAddr {
    IpAddr::from([10, 2, 0, u8::try_from(number).unwrap_or(u8::MAX)])
}
