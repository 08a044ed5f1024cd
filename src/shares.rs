//! Splits limited amounts between callers, so that no caller can take all of one.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::caller::Caller;

/// A limited amount, and how much of it each caller holds.
///
/// A caller that already holds `ratio` times the free amount doesn't get more. That way
/// there's always something left for the others, no matter how many calls it makes. The
/// process itself is exempt, and may take everything.
#[derive(Debug)]
pub(crate) struct Shares {
    free: usize,
    ratio: usize,
    /// The most that any caller may hold.
    max_per_caller: usize,
    held: HashMap<Caller, usize>,
}

/// A limited amount that callers can reserve parts of.
///
/// Clones share the amount.
#[derive(Debug, Clone)]
pub(crate) struct Quota(Arc<Mutex<Shares>>);

/// A part of a [`Quota`] reserved for one caller. Released on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    quota: Quota,
    caller: Caller,
    amount: usize,
}

impl Shares {
    /// Creates shares of `amount`. Nothing is taken at first.
    pub(crate) fn new(amount: usize, ratio: usize) -> Self {
        Self {
            free: amount,
            ratio,
            max_per_caller: usize::MAX,
            held: HashMap::new(),
        }
    }

    /// Returns true if `caller` may take `amount`.
    pub(crate) fn allows(&self, caller: Caller, amount: usize) -> bool {
        if amount == 0 || amount > self.free || caller.is_self() {
            return amount <= self.free;
        }
        // Pretend we take the amount one unit at a time, and check the last one.
        let held = self.held_by(caller) + (amount - 1);
        let free = self.free - (amount - 1);
        held < free.saturating_mul(self.ratio).min(self.max_per_caller)
    }

    fn held_by(&self, caller: Caller) -> usize {
        self.held.get(&caller).copied().unwrap_or(0)
    }

    fn held(&self) -> usize {
        self.held.values().sum()
    }

    /// Takes `amount` for `caller`. If the caller can't have all of it, this takes
    /// nothing and returns false.
    #[must_use]
    pub(crate) fn take(&mut self, caller: Caller, amount: usize) -> bool {
        let is_allowed = self.allows(caller, amount);
        if is_allowed && amount > 0 {
            self.free -= amount;
            *self.held.entry(caller).or_default() += amount;
        }
        is_allowed
    }

    /// Returns `amount`, which `caller` must have taken before.
    pub(crate) fn release(&mut self, caller: Caller, amount: usize) {
        self.free += amount;
        if let Some(held) = self.held.get_mut(&caller) {
            *held -= amount;
            if *held == 0 {
                self.held.remove(&caller);
            }
        }
    }
}

impl Quota {
    /// Creates a quota of `amount`. See [`Shares`] for how it's split.
    pub(crate) fn new(amount: usize, ratio: usize) -> Self {
        Self(Arc::new(Mutex::new(Shares::new(amount, ratio))))
    }

    /// Limits how much a single caller may hold, on top of its share.
    pub(crate) fn with_max_per_caller(self, max: usize) -> Self {
        self.0.lock().max_per_caller = max;
        self
    }

    /// Returns true if `caller` holds as much as any caller may.
    pub(crate) fn is_used_up_by(&self, caller: Caller) -> bool {
        let shares = self.0.lock();
        shares.held_by(caller) >= shares.max_per_caller
    }

    /// Returns how much all callers hold together.
    pub(crate) fn held(&self) -> usize {
        self.0.lock().held()
    }

    /// Returns true if `caller` may reserve `amount`.
    pub(crate) fn allows(&self, caller: Caller, amount: usize) -> bool {
        self.0.lock().allows(caller, amount)
    }

    /// Reserves `amount` for `caller`, or returns `None` if it can't have that much.
    pub(crate) fn reserve(&self, caller: Caller, amount: usize) -> Option<Reservation> {
        let mut reservation = Reservation {
            quota: self.clone(),
            caller,
            amount: 0,
        };
        reservation.grow(amount).then_some(reservation)
    }
}

impl Reservation {
    /// Grows the reservation by `amount`. If the caller can't have that much more, this
    /// adds nothing and returns false.
    #[must_use]
    pub(crate) fn grow(&mut self, amount: usize) -> bool {
        let is_taken = self.quota.0.lock().take(self.caller, amount);
        if is_taken {
            self.amount += amount;
        }
        is_taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.0.lock().release(self.caller, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn caller(address: &str) -> Caller {
        Caller::at(Some(SocketAddr::new(address.parse().unwrap(), 1)))
    }

    fn take_all(shares: &mut Shares, caller: Caller) -> usize {
        std::iter::from_fn(|| shares.take(caller, 1).then_some(())).count()
    }

    #[test]
    fn each_caller_leaves_a_part_for_the_next() {
        let mut shares = Shares::new(256, 7);
        let [one, two, three] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(caller);
        assert_eq!(take_all(&mut shares, one), 224);
        assert_eq!(take_all(&mut shares, two), 28);
        assert_eq!(take_all(&mut shares, three), 4);
        shares.release(one, 224);
        assert_eq!(take_all(&mut shares, two), 193);
        let free = shares.free;
        assert_eq!(take_all(&mut shares, Caller::at(None)), free);
    }

    #[test]
    fn caller_never_takes_all_whatever_its_step_size() {
        for step in [1000, 8 << 20, 250 << 20] {
            let mut shares = Shares::new(256 << 20, 31);
            let one = caller("10.0.0.1");
            while shares.take(one, step) {}
            // Now take the remainder in smaller steps.
            while shares.take(one, 1 << 16) {}
            assert!(shares.free >= 8 << 20, "{step}: {} is free", shares.free);
            assert!(shares.take(caller("10.0.0.2"), 1 << 20));
        }
    }

    #[test]
    fn caller_is_limited_on_top_of_its_share() {
        let quota = Quota::new(64, 31).with_max_per_caller(2);
        let one = caller("10.0.0.1");
        let held = quota.reserve(one, 1).unwrap();
        assert!(quota.allows(one, 1) && !quota.allows(one, 2) && !quota.is_used_up_by(one));
        let _second = quota.reserve(one, 1).unwrap();
        assert!(!quota.allows(one, 1) && quota.is_used_up_by(one));
        assert_eq!(quota.held(), 2);
        assert!(quota.allows(caller("10.0.0.2"), 2));
        drop(held);
        assert!(quota.allows(one, 1));
        assert!(quota.reserve(Caller::at(None), 64 - 1).is_some());
    }

    #[test]
    fn small_amount_can_be_taken_whole() {
        for amount in 1..=7 {
            let mut shares = Shares::new(amount, 7);
            assert_eq!(take_all(&mut shares, caller("10.0.0.1")), amount);
        }
    }
}
