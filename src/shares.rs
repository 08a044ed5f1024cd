//! How callers share what is limited.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::caller::Caller;

/// A limited amount, and how much of it each caller holds.
///
/// A caller that holds `ratio` times as much as is free gets no more, so that a
/// part of the amount is left to the others, however many calls it makes. The
/// process itself may take all of it.
#[derive(Debug)]
pub(crate) struct Shares {
    free: usize,
    ratio: usize,
    held: HashMap<Caller, usize>,
}

/// Shares of an amount, each held until it is dropped. Cheap to clone; all clones
/// share one amount.
#[derive(Debug, Clone)]
pub(crate) struct Quota(Arc<Mutex<Shares>>);

/// What one holder has of a [`Quota`].
#[derive(Debug)]
pub(crate) struct Held {
    quota: Quota,
    caller: Caller,
    amount: usize,
}

impl Shares {
    /// `amount`, all of it free.
    pub(crate) fn new(amount: usize, ratio: usize) -> Self {
        Self {
            free: amount,
            ratio,
            held: HashMap::new(),
        }
    }

    /// Returns true if `caller` may take `amount`.
    pub(crate) fn allows(&self, caller: Caller, amount: usize) -> bool {
        if amount == 0 || amount > self.free || caller.is_self() {
            return amount <= self.free;
        }
        // As if it were taken bit by bit, down to the last.
        let held = self.held.get(&caller).copied().unwrap_or(0);
        let (held, free) = (held + amount - 1, self.free - amount + 1);
        held < free.saturating_mul(self.ratio)
    }

    /// Gives `amount` to `caller` if it may take it.
    #[must_use]
    pub(crate) fn take(&mut self, caller: Caller, amount: usize) -> bool {
        let is_allowed = self.allows(caller, amount);
        if is_allowed && amount > 0 {
            self.free -= amount;
            *self.held.entry(caller).or_default() += amount;
        }
        is_allowed
    }

    /// Takes `amount` back from `caller`, which was given as much.
    pub(crate) fn give_back(&mut self, caller: Caller, amount: usize) {
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
    /// `amount`, all of it free.
    pub(crate) fn new(amount: usize, ratio: usize) -> Self {
        Self(Arc::new(Mutex::new(Shares::new(amount, ratio))))
    }

    /// Returns true if `caller` may take `amount`.
    pub(crate) fn allows(&self, caller: Caller, amount: usize) -> bool {
        self.shares().allows(caller, amount)
    }

    /// Nothing yet, for `caller`.
    pub(crate) fn hold(&self, caller: Caller) -> Held {
        Held {
            quota: self.clone(),
            caller,
            amount: 0,
        }
    }

    /// Gives `amount` to `caller`, if it may take it.
    pub(crate) fn take(&self, caller: Caller, amount: usize) -> Option<Held> {
        let mut held = self.hold(caller);
        held.grow(amount).then_some(held)
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Adds `amount`. False: the caller may not have it.
    #[must_use]
    pub(crate) fn grow(&mut self, amount: usize) -> bool {
        let is_taken = self.quota.shares().take(self.caller, amount);
        if is_taken {
            self.amount += amount;
        }
        is_taken
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.quota.shares().give_back(self.caller, self.amount);
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
    fn each_caller_leaves_a_part_to_the_next() {
        let mut shares = Shares::new(256, 7);
        let [one, two, three] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(caller);
        assert_eq!(take_all(&mut shares, one), 224);
        assert_eq!(take_all(&mut shares, two), 28);
        assert_eq!(take_all(&mut shares, three), 4);
        shares.give_back(one, 224);
        assert_eq!(take_all(&mut shares, two), 193);
        let free = shares.free;
        assert_eq!(take_all(&mut shares, Caller::at(None)), free);
    }

    #[test]
    fn no_caller_takes_all_however_large_its_steps_are() {
        for step in [1000, 8 << 20, 250 << 20] {
            let mut shares = Shares::new(256 << 20, 31);
            let one = caller("10.0.0.1");
            while shares.take(one, step) {}
            // What is left after the largest steps is taken by smaller ones.
            while shares.take(one, 1 << 16) {}
            assert!(shares.free >= 8 << 20, "{step}: {} is free", shares.free);
            assert!(shares.take(caller("10.0.0.2"), 1 << 20));
        }
    }

    #[test]
    fn a_small_amount_can_be_taken_whole() {
        for amount in 1..=7 {
            let mut shares = Shares::new(amount, 7);
            assert_eq!(take_all(&mut shares, caller("10.0.0.1")), amount);
        }
    }
}
