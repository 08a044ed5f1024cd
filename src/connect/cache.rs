//! What names resolved to, for as long as it may be kept.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Addresses by name and family, bounded in names and in addresses: together
/// less than 16 MiB.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Key, Kept>>);

/// A name, of at most 253 bytes, and whether IPv6 was asked for.
pub(super) type Key = (Box<str>, bool);

struct Kept {
    addresses: Box<[IpAddr]>,
    until: Instant,
}

/// The most names that are kept, and the most addresses of one.
const MAX_NAMES: usize = 8192;
pub(super) const MAX_ADDRESSES: usize = 32;

impl Cache {
    /// What is kept for `key`, where it still holds.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<IpAddr>> {
        let kept = self.kept();
        let kept = kept.get(key).filter(|kept| kept.until > Instant::now())?;
        Some(kept.addresses.to_vec())
    }

    /// Keeps `addresses` for `ttl`, at most [`MAX_ADDRESSES`] of them.
    pub(super) fn put(&self, key: Key, addresses: &[IpAddr], ttl: Duration) {
        let now = Instant::now();
        if ttl.is_zero() {
            return;
        }
        let mut kept = self.kept();
        if kept.len() >= MAX_NAMES && !kept.contains_key(&key) {
            kept.retain(|_, kept| kept.until > now);
        }
        if kept.len() >= MAX_NAMES
            && let Some(any) = kept.keys().next().cloned()
        {
            kept.remove(&any);
        }
        let addresses = &addresses[..addresses.len().min(MAX_ADDRESSES)];
        let addresses = addresses.into();
        let until = now + ttl;
        kept.insert(key, Kept { addresses, until });
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const TTL: Duration = Duration::from_mins(1);

    fn key(name: &impl ToString) -> Key {
        (name.to_string().into(), false)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_in_time_names_and_addresses() {
        let cache = Cache::default();
        cache.put(key(&"many"), &vec![LOCAL; 4000], TTL);
        assert_eq!(cache.get(&key(&"many")).unwrap().len(), MAX_ADDRESSES);
        assert_eq!(cache.get(&("many".into(), true)), None);
        cache.put(key(&"fleeting"), &[LOCAL], Duration::ZERO);
        assert_eq!(cache.get(&key(&"fleeting")), None);

        for name in 0..2 * MAX_NAMES {
            cache.put(key(&name), &[LOCAL], TTL);
        }
        assert_eq!(cache.kept().len(), MAX_NAMES);
        assert!(cache.get(&key(&(2 * MAX_NAMES - 1))).is_some());
        tokio::time::advance(TTL).await;
        assert!(cache.get(&key(&(2 * MAX_NAMES - 1))).is_none());
        cache.put(key(&"new"), &[LOCAL], TTL);
        assert_eq!(cache.kept().len(), 1, "what has passed makes room");
    }
}
