//! Injects the faults of a scenario.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    fault::{Fault, Party},
    network::NAME_SERVER,
    world::{World, caller_ip},
};

/// Addresses in the cluster, which the service must not dial for anybody.
const FORBIDDEN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99));
const FORBIDDEN_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 99));

/// The end of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Connected(IpAddr, IpAddr),
    Reachable(IpAddr),
    Unfrozen(IpAddr),
    Named(usize),
    Up(usize),
    Published,
}

impl World {
    /// Injects all faults, and waits for their ends.
    pub(crate) async fn inject_faults(&mut self) {
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
            self.sleep_until(next).await;
            let now = Instant::now();
            let (due, later) = self.ends.drain(..).partition(|(at, _)| *at <= now);
            self.ends = later;
            for (_, end) in due {
                self.end(end);
            }
            let (due, later) = self.starts.drain(..).partition(|(at, _)| *at <= now);
            self.starts = later;
            for (_, ip) in due {
                self.start_replica(Some(ip));
            }
            if let Some(timed) = faults.next_if(|timed| self.began + timed.at <= now) {
                self.begin(timed.fault).await;
            }
        }
    }

    async fn begin(&mut self, fault: Fault) {
        let replicas = self.replicas.len();
        if fault.is_silent() {
            self.oracle.silent_fault();
        }
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
                let ip = self.crash_replica(replica % replicas, told).await;
                let next = if same_address { ip } else { self.next_ip() };
                self.starts.push((Instant::now() + back_after, next));
            }
            Fault::Hang {
                replica,
                is_frozen,
                lasts,
            } if replicas > 0 => {
                let ip = self.replicas[replica % replicas].ip;
                let how = if is_frozen { "is frozen" } else { "hangs" };
                self.timeline
                    .add(format_args!("replica {ip} {how} for {lasts:?}"));
                let end = if is_frozen {
                    self.network.set_frozen(ip, true);
                    End::Unfrozen(ip)
                } else {
                    self.network.set_silent(ip, true);
                    End::Reachable(ip)
                };
                self.ends.push((Instant::now() + lasts, end));
            }
            Fault::HangCaller { caller, lasts } => {
                let ip = caller_ip(caller % self.scenario.callers.len());
                self.timeline
                    .add(format_args!("caller {ip} hangs for {lasts:?}"));
                self.network.set_silent(ip, true);
                self.ends.push((Instant::now() + lasts, End::Reachable(ip)));
            }
            Fault::Partition { one, other, lasts } => {
                if let (Some(one), Some(other)) = (self.ip_of(one), self.ip_of(other)) {
                    self.timeline
                        .add(format_args!("{one} and {other} are cut off for {lasts:?}"));
                    self.network.set_cut(one, other, true);
                    self.ends
                        .push((Instant::now() + lasts, End::Connected(one, other)));
                }
            }
            Fault::Move { origin } => {
                self.move_origin(origin % self.origins.len()).await;
            }
            Fault::Down { origin, lasts } => {
                let number = origin % self.origins.len();
                self.timeline
                    .add(format_args!("origin {number} is down for {lasts:?}"));
                self.stop_origin(number).await;
                self.ends.push((Instant::now() + lasts, End::Up(number)));
            }
            Fault::BadName {
                origin,
                is_forbidden,
                is_mixed,
                lasts,
            } => {
                let number = origin % self.origins.len();
                let host = &self.scenario.origins[number].host;
                let mut addresses = Vec::new();
                if is_forbidden {
                    addresses.extend([FORBIDDEN, FORBIDDEN_V6]);
                }
                if is_mixed {
                    addresses.push(self.origins[number].ip());
                }
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

    /// Ends the process of a replica. Returns the address of its machine.
    async fn crash_replica(&mut self, at: usize, told: bool) -> IpAddr {
        let replica = self.replicas.remove(at);
        let ip = replica.ip;
        let how = if told { "crashes" } else { "vanishes" };
        self.timeline.add(format_args!("replica {ip} {how}"));
        self.network.crash(ip, told);
        for bug in replica.bugs() {
            self.oracle.report(format!("replica {ip} had {bug}"));
        }
        replica.kill().await;
        self.publish_replicas_later();
        ip
    }

    fn end(&mut self, end: End) {
        match end {
            End::Connected(one, other) => {
                self.timeline
                    .add(format_args!("{one} and {other} are connected again"));
                self.network.set_cut(one, other, false);
            }
            End::Reachable(ip) => {
                self.timeline.add(format_args!("{ip} hangs no more"));
                self.network.set_silent(ip, false);
            }
            End::Unfrozen(ip) => {
                self.timeline.add(format_args!("{ip} goes on"));
                self.network.set_frozen(ip, false);
            }
            End::Named(number) => self.publish_origin(number),
            End::Published => self.publish_replicas(),
            // It may have moved in the meantime, and be up already.
            End::Up(number) if self.origins[number].is_up() => {}
            End::Up(number) => {
                self.timeline.add(format_args!("origin {number} is up"));
                self.start_origin(number);
            }
        }
    }

    /// Lets an origin go on at another address.
    async fn move_origin(&mut self, number: usize) {
        self.stop_origin(number).await;
        self.origins[number].moves += 1;
        self.start_origin(number);
        let ip = self.origins[number].ip();
        self.timeline
            .add(format_args!("origin {number} moves to {ip}"));
        self.publish_origin(number);
    }

    fn ip_of(&self, party: Party) -> Option<IpAddr> {
        match party {
            Party::Replica(number) => {
                let replicas = self.replicas.len();
                (replicas > 0).then(|| self.replicas[number % replicas].ip)
            }
            Party::Caller(number) => Some(caller_ip(number % self.scenario.callers.len())),
            Party::Origin(number) => Some(self.origins[number % self.origins.len()].ip()),
            Party::NameServer => Some(NAME_SERVER),
        }
    }
}
