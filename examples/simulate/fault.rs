//! Faults of the network and of replicas.

use std::time::Duration;

/// A fault, and when it begins.
#[derive(Debug, Clone)]
pub(crate) struct Timed {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
}

/// What goes wrong. Parties are chosen by a number, modulo how many of them there are.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A process dies, and its peers are told so by resets, or never. Another one starts
    /// after a while, on a machine with the same address or a new one.
    Crash {
        replica: usize,
        told: bool,
        same_address: bool,
        back_after: Duration,
    },
    /// A replica shuts down, and another one starts.
    Replace { replica: usize },
    /// One more replica starts.
    Grow,
    /// A replica shuts down, and nothing replaces it.
    Shrink { replica: usize },
    /// A replica neither sends nor receives for a while. If only its process is frozen, its
    /// kernel still accepts connections and bytes.
    Hang {
        replica: usize,
        is_frozen: bool,
        lasts: Duration,
    },
    /// A caller does so.
    HangCaller { caller: usize, lasts: Duration },
    /// Two parties don't reach each other for a while.
    Partition {
        one: Party,
        other: Party,
        lasts: Duration,
    },
    /// An origin moves to another machine, and the old one goes away.
    Move { origin: usize },
    /// An origin refuses connections for a while.
    Down { origin: usize, lasts: Duration },
    /// The name of an origin has no address for a while, or forbidden ones, maybe with its own.
    BadName {
        origin: usize,
        is_forbidden: bool,
        is_mixed: bool,
        lasts: Duration,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Party {
    Replica(usize),
    Caller(usize),
    Origin(usize),
    NameServer,
}

impl Fault {
    /// Returns true if machines may be gone or out of reach without anybody being told.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Crash { told, .. } => !told,
            Self::Hang { .. } | Self::HangCaller { .. } | Self::Partition { .. } => true,
            _ => false,
        }
    }

    /// Returns true if nothing is lost, if clients and servers do as they should.
    pub(crate) fn loses_nothing(&self) -> bool {
        matches!(
            self,
            Self::Replace { .. } | Self::Grow | Self::Shrink { .. }
        )
    }

    /// Returns true if one replica is lost, and all else is well.
    pub(crate) fn loses_one_replica(&self) -> bool {
        matches!(self, Self::Crash { .. } | Self::Hang { .. })
    }

    /// A fault that loses nothing, if clients and servers do as they should.
    pub(crate) fn rollout(rng: &mut fastrand::Rng) -> Self {
        let replica = rng.usize(..100);
        match rng.u32(..4) {
            0 => Self::Grow,
            1 => Self::Shrink { replica },
            _ => Self::Replace { replica },
        }
    }

    pub(crate) fn random(rng: &mut fastrand::Rng) -> Self {
        let replica = rng.usize(..100);
        let lasts = Duration::from_millis(if rng.bool() {
            rng.u64(1..3_000)
        } else {
            rng.u64(1..45_000)
        });
        match rng.u32(..15) {
            14 => Self::Down {
                origin: rng.usize(..100),
                lasts,
            },
            13 => Self::HangCaller {
                caller: rng.usize(..100),
                lasts,
            },
            0..3 => Self::Crash {
                replica,
                told: rng.u32(..3) > 0,
                same_address: rng.u32(..3) == 0,
                back_after: Duration::from_millis(rng.u64(..15_000)),
            },
            3..7 => Self::rollout(rng),
            7 => Self::Hang {
                replica,
                is_frozen: rng.bool(),
                lasts,
            },
            8..11 => {
                let number = rng.usize(..100);
                let (one, other) = match rng.u32(..4) {
                    0 => (Party::Replica(replica), Party::Origin(number)),
                    1 => (Party::Replica(replica), Party::NameServer),
                    2 => (Party::Caller(number), Party::NameServer),
                    _ => (Party::Caller(number), Party::Replica(replica)),
                };
                Self::Partition { one, other, lasts }
            }
            11 => Self::Move {
                origin: rng.usize(..100),
            },
            _ => Self::BadName {
                origin: rng.usize(..100),
                is_forbidden: rng.u32(..4) > 0,
                is_mixed: rng.bool(),
                lasts,
            },
        }
    }
}
