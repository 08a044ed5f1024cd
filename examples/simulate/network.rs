//! A simulated network: machines, the connections between them, names, and faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use fetchd::net::Addresses;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time};

use crate::link::{Link, SimSocket};

/// The network of a run. All machines share it.
#[derive(Debug)]
pub(crate) struct Network {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: fastrand::Rng,
    /// How many unread bytes a connection takes in each direction.
    capacity: usize,
    /// What replicas have dialled in the cluster.
    forbidden: Vec<SocketAddr>,
    listeners: BTreeMap<SocketAddr, Backlog>,
    links: Vec<Weak<Link>>,
    names: BTreeMap<String, Addresses>,
    /// How many faults keep pairs of machines from reaching each other.
    cuts: BTreeMap<(IpAddr, IpAddr), u32>,
    /// How many faults keep machines from sending and receiving.
    silent: BTreeMap<IpAddr, u32>,
    /// How many faults keep the processes of machines from reading and writing.
    frozen: BTreeMap<IpAddr, u32>,
    /// Machines that are gone without notice.
    vanished: BTreeSet<IpAddr>,
    /// Everything that waits for the end of a fault.
    waiting: Vec<Waker>,
}

type Backlog = mpsc::Sender<(SimSocket, SocketAddr)>;

/// How many connections a listener may not have accepted yet. Further ones are refused.
const BACKLOG: usize = 128;

/// The machine that knows all names.
pub(crate) const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

/// How long a look-up may take.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);

impl Network {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let state = State {
            capacity: [16 << 10, 64 << 10, 192 << 10][rng.usize(..3)],
            forbidden: Vec::new(),
            rng,
            listeners: BTreeMap::new(),
            links: Vec::new(),
            names: BTreeMap::new(),
            cuts: BTreeMap::new(),
            silent: BTreeMap::new(),
            frozen: BTreeMap::new(),
            vanished: BTreeSet::new(),
            waiting: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Accepts connections at `address` from now on.
    pub(crate) fn listen(&self, address: SocketAddr) -> mpsc::Receiver<(SimSocket, SocketAddr)> {
        let (backlog, accepted) = mpsc::channel(BACKLOG);
        self.state.lock().listeners.insert(address, backlog);
        accepted
    }

    /// Refuses connections at `address` from now on.
    pub(crate) fn stop_listening(&self, address: SocketAddr) {
        self.state.lock().listeners.remove(&address);
    }

    /// Sets the addresses of a name.
    pub(crate) fn set_name(&self, name: &str, addresses: Vec<IpAddr>, ttl: Duration) {
        let addresses = Addresses { addresses, ttl };
        self.state.lock().names.insert(name.to_owned(), addresses);
    }

    /// Cuts the connection between two machines, or takes back one such cut.
    pub(crate) fn set_cut(&self, one: IpAddr, other: IpAddr, is_cut: bool) {
        let mut state = self.state.lock();
        for pair in [(one, other), (other, one)] {
            count(state.cuts.entry(pair).or_default(), is_cut);
        }
        state.wake_waiting();
    }

    /// Lets a machine neither send nor receive, or takes back one such fault.
    pub(crate) fn set_silent(&self, machine: IpAddr, is_silent: bool) {
        let mut state = self.state.lock();
        count(state.silent.entry(machine).or_default(), is_silent);
        state.wake_waiting();
    }

    /// Keeps the process of a machine from reading and writing, or takes back one such fault.
    /// Its kernel goes on.
    pub(crate) fn set_frozen(&self, machine: IpAddr, is_frozen: bool) {
        let mut state = self.state.lock();
        count(state.frozen.entry(machine).or_default(), is_frozen);
        state.wake_waiting();
    }

    /// Kills the process of a machine. If its peers aren't `told`, the machine has vanished:
    /// it never answers again.
    pub(crate) fn crash(&self, machine: IpAddr, told: bool) {
        let mut state = self.state.lock();
        state.listeners.retain(|address, _| address.ip() != machine);
        if !told {
            state.vanished.insert(machine);
        }
        state.links.retain(|link| link.strong_count() > 0);
        let links: Vec<_> = state.links.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        for link in links {
            link.crash(machine, told);
        }
        self.state.lock().wake_waiting();
    }

    /// Lets a machine begin anew. What it has left from before is reset.
    pub(crate) fn boot(&self, machine: IpAddr) {
        self.state.lock().vanished.remove(&machine);
        self.crash(machine, true);
    }

    /// Returns true if bytes get from one machine to the other. If they don't, `cx` is woken
    /// once that may have changed.
    pub(crate) fn passes(&self, from: IpAddr, to: IpAddr, cx: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        let passes = state.passes(from, to);
        if !passes {
            state.waiting.push(cx.waker().clone());
        }
        passes
    }

    /// Returns true unless the process of a machine is frozen. If it is, `cx` is woken once
    /// that may have changed.
    pub(crate) fn runs(&self, machine: IpAddr, cx: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        let is_frozen = state.frozen.get(&machine).is_some_and(|faults| *faults > 0);
        if is_frozen {
            state.waiting.push(cx.waker().clone());
        }
        !is_frozen
    }

    /// How long the next bytes take between two machines.
    pub(crate) fn latency(&self, one: IpAddr, other: IpAddr) -> Duration {
        let rng = &mut self.state.lock().rng;
        let is_far = is_origin(one) || is_origin(other);
        let range = if is_far { 2_000..30_000 } else { 100..2_000 };
        // Now and then a packet is lost, and is sent again.
        let lost = if rng.u32(..500) == 0 { 200_000 } else { 0 };
        Duration::from_micros(rng.u64(range) + lost)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.state.lock().capacity
    }

    /// Returns what replicas have dialled in the cluster. They must not dial anything there.
    pub(crate) fn forbidden_dials(&self) -> Vec<SocketAddr> {
        self.state.lock().forbidden.clone()
    }

    async fn until_passes(&self, from: IpAddr, to: IpAddr) {
        let passes = |cx: &mut Context<'_>| {
            if self.runs(from, cx) && self.passes(from, to, cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        };
        poll_fn(passes).await;
    }

    /// Connects a machine to an address.
    pub(crate) async fn connect(
        self: Arc<Self>,
        from: IpAddr,
        to: SocketAddr,
    ) -> io::Result<SimSocket> {
        if is_replica(from) && !is_origin(to.ip()) {
            self.state.lock().forbidden.push(to);
        }
        self.until_passes(from, to.ip()).await;
        time::sleep(2 * self.latency(from, to.ip())).await;
        let port = self.state.lock().rng.u16(32_768..);
        let near = SocketAddr::new(from, port);
        let link = Link::new(Arc::clone(&self), [near, to]);
        let mut state = self.state.lock();
        let backlog = state.listeners.get(&to);
        let backlog = backlog.ok_or(io::ErrorKind::ConnectionRefused)?;
        let accepted = backlog.try_send((SimSocket::new(Arc::clone(&link), 1), near));
        accepted.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        state.links.push(Arc::downgrade(&link));
        Ok(SimSocket::new(link, 0))
    }

    /// Looks up a name.
    pub(crate) async fn look_up(
        self: Arc<Self>,
        from: IpAddr,
        name: String,
    ) -> io::Result<Addresses> {
        let reached = time::timeout(LOOK_UP_TIMEOUT, self.until_passes(from, NAME_SERVER)).await;
        reached.map_err(|_| io::ErrorKind::TimedOut)?;
        time::sleep(2 * self.latency(from, NAME_SERVER)).await;
        let found = self.state.lock().names.get(&name).cloned();
        Ok(found.unwrap_or(Addresses {
            addresses: Vec::new(),
            ttl: Duration::from_secs(1),
        }))
    }
}

impl State {
    fn passes(&self, from: IpAddr, to: IpAddr) -> bool {
        let is_cut = self.cuts.get(&(from, to)).is_some_and(|faults| *faults > 0);
        let is_mute = |machine| {
            let faults = self.silent.get(&machine).copied();
            faults.unwrap_or(0) > 0 || self.vanished.contains(&machine)
        };
        !is_cut && !is_mute(from) && !is_mute(to)
    }

    fn wake_waiting(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }
}

/// Counts one more fault, or one less.
fn count(faults: &mut u32, has_begun: bool) {
    if has_begun {
        *faults += 1;
    } else {
        *faults -= 1;
    }
}

fn is_replica(machine: IpAddr) -> bool {
    matches!(machine, IpAddr::V4(ip) if ip.octets()[..2] == [10, 1])
}

/// Origins are far away. Everything else is in the cluster.
fn is_origin(machine: IpAddr) -> bool {
    matches!(machine, IpAddr::V4(ip) if ip.octets()[0] == 203)
}
