//! Limited amounts that callers share: no caller may take all of one.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::caller::Caller;

/// A limited amount, and how much of it each caller holds.
///
/// A caller that holds `ratio` times the free amount gets no more, so some of the
/// amount is left for the others, however many calls it makes. The process itself may
/// take all of it.
#[derive(Debug)]
pub(crate) struct Shares {
    free: usize,
    ratio: usize,
    held: HashMap<Caller, usize>,
}

/// A limited amount from which callers reserve. Cheap to clone; all clones share one
/// amount.
#[derive(Debug, Clone)]
pub(crate) struct Quota(Arc<Mutex<Shares>>);

/// An amount that one caller has reserved from a [`Quota`]. Dropping it releases the
/// amount.
#[derive(Debug)]
pub(crate) struct Reservation {
    quota: Quota,
    caller: Caller,
    amount: usize,
}

impl Shares {
    /// Returns shares of `amount`, all of which is free.
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
        // The last unit decides, as if the amount were taken one unit at a time.
        let held = self.held.get(&caller).copied().unwrap_or(0) + (amount - 1);
        let free = self.free - (amount - 1);
        held < free.saturating_mul(self.ratio)
    }

    /// Takes `amount` for `caller`. Returns false, and takes nothing, if it may not
    /// have that much.
    #[must_use]
    pub(crate) fn take(&mut self, caller: Caller, amount: usize) -> bool {
        let is_allowed = self.allows(caller, amount);
        if is_allowed && amount > 0 {
            self.free -= amount;
            *self.held.entry(caller).or_default() += amount;
        }
        is_allowed
    }

    /// Releases `amount`, which `caller` had taken.
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
    /// Returns a quota of `amount`, shared as [`Shares`] are.
    pub(crate) fn new(amount: usize, ratio: usize) -> Self {
        Self(Arc::new(Mutex::new(Shares::new(amount, ratio))))
    }

    /// Returns true if `caller` may reserve `amount`.
    pub(crate) fn allows(&self, caller: Caller, amount: usize) -> bool {
        self.0.lock().allows(caller, amount)
    }

    /// Reserves `amount` for `caller`. Returns `None` if it may not have that much.
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
    /// Adds `amount`. Returns false, and adds nothing, if the caller may not have that
    /// much more.
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
            // Smaller steps take the remainder that the large ones leave.
            while shares.take(one, 1 << 16) {}
            assert!(shares.free >= 8 << 20, "{step}: {} is free", shares.free);
            assert!(shares.take(caller("10.0.0.2"), 1 << 20));
        }
    }

    #[test]
    fn small_amount_can_be_taken_whole() {
        for amount in 1..=7 {
            let mut shares = Shares::new(amount, 7);
            assert_eq!(take_all(&mut shares, caller("10.0.0.1")), amount);
        }
    }
}
