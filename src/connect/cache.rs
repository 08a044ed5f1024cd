//! A DNS cache.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hickory_resolver::proto::rr::RecordType;
use moka::{Expiry, sync};
use tokio::time::Instant;

/// Caches the addresses of each name until their TTL has passed.
///
/// We limit both the number of names and the addresses per name, which keeps the cache
/// below 16 MiB. Names that are looked up only once don't push out names that we use all
/// the time.
pub(super) struct Cache(sync::Cache<Key, Entry>);

/// A name (at most 253 bytes) and the record type we asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) record_type: RecordType,
}

impl Key {
    pub(super) fn new(name: &str, record_type: RecordType) -> Self {
        Self {
            name: name.into(),
            record_type,
        }
    }
}

#[derive(Clone)]
struct Entry {
    addresses: Arc<[IpAddr]>,
    /// We check this on every read. moka expires entries too, but by its own clock, and
    /// that keeps running in tests that pause tokio's.
    expires_at: Instant,
}

/// Tells moka to remove entries at their `expires_at`.
struct ExpiresAt;

/// The maximum number of cached names. Once it's reached, moka decides whether a new name
/// replaces one that is used less.
const MAX_NAMES: u64 = 8192;

/// The maximum number of addresses per name. The resolver drops any further ones.
pub(super) const MAX_ADDRESSES: usize = 32;

impl Cache {
    /// Creates a cache that also frees entries once they've expired.
    pub(super) fn new() -> Self {
        let builder = sync::Cache::builder().max_capacity(MAX_NAMES);
        Self(builder.expire_after(ExpiresAt).build())
    }

    /// Creates a cache that keeps expired entries until others need the room. It only looks
    /// at tokio's clock, which may be paused.
    pub(super) fn without_expiry() -> Self {
        Self(sync::Cache::new(MAX_NAMES))
    }

    /// Returns the addresses cached for `key`, unless they've expired.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<[IpAddr]>> {
        let entry = self.0.get(key)?;
        (entry.expires_at > Instant::now()).then_some(entry.addresses)
    }

    /// Caches `addresses` for `ttl`. There must not be more than [`MAX_ADDRESSES`]. If
    /// `ttl` is zero, nothing is cached.
    pub(super) fn insert(&self, key: Key, addresses: Arc<[IpAddr]>, ttl: Duration) {
        debug_assert!(addresses.len() <= MAX_ADDRESSES);
        if ttl.is_zero() {
            return;
        }
        let expires_at = Instant::now() + ttl;
        let entry = Entry {
            addresses,
            expires_at,
        };
        self.0.insert(key, entry);
    }
}

impl Entry {
    fn time_to_live(&self) -> Duration {
        self.expires_at.saturating_duration_since(Instant::now())
    }
}

#[allow(clippy::disallowed_types)] // We have to use moka's signatures.
impl Expiry<Key, Entry> for ExpiresAt {
    fn expire_after_create(
        &self,
        _: &Key,
        entry: &Entry,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(entry.time_to_live())
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.time_to_live())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const TTL: Duration = Duration::from_mins(1);

    fn key(name: &impl ToString) -> Key {
        Key {
            name: name.to_string().into(),
            record_type: RecordType::A,
        }
    }

    fn localhost() -> Arc<[IpAddr]> {
        Arc::new([Ipv4Addr::LOCALHOST.into()])
    }

    #[tokio::test(start_paused = true)]
    async fn entries_expire_after_their_ttl() {
        let cache = Cache::new();
        cache.insert(key(&"a"), localhost(), TTL);
        cache.insert(key(&"zero"), localhost(), Duration::ZERO);
        assert_eq!(cache.get(&key(&"a")), Some(localhost()));
        assert_eq!(cache.get(&key(&"zero")), None);
        let of_other_type = Key {
            record_type: RecordType::AAAA,
            ..key(&"a")
        };
        assert_eq!(cache.get(&of_other_type), None);

        tokio::time::advance(TTL / 2).await;
        cache.insert(key(&"a"), localhost(), TTL);
        tokio::time::advance(TTL / 2).await;
        assert!(cache.get(&key(&"a")).is_some(), "the second TTL counts");
        tokio::time::advance(TTL / 2).await;
        assert_eq!(cache.get(&key(&"a")), None);
    }

    #[tokio::test]
    async fn expired_entries_are_removed() {
        let cache = Cache::new();
        cache.insert(key(&"a"), localhost(), TTL);
        cache.insert(key(&"a"), localhost(), Duration::from_millis(20));
        cache.insert(key(&"b"), localhost(), TTL);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!cache.0.contains_key(&key(&"a")));
        assert!(cache.0.contains_key(&key(&"b")));
    }

    #[test]
    fn number_of_names_is_bounded() {
        /// The number of insertions that moka may not have applied yet (this is its
        /// `WRITE_LOG_CH_SIZE`).
        const MAX_PENDING: u64 = 384;

        let cache = Cache::new();
        for name in 0..2 * MAX_NAMES {
            cache.insert(key(&name), localhost(), TTL);
            if name % 1000 == 0 {
                let count = cache.0.iter().count() as u64;
                assert!(count <= MAX_NAMES + MAX_PENDING, "{count} names");
            }
        }
        cache.0.run_pending_tasks();
        assert_eq!(cache.0.entry_count(), MAX_NAMES);
    }

    #[test]
    fn names_looked_up_once_do_not_evict_names_in_frequent_use() {
        let cache = Cache::new();
        cache.insert(key(&"frequent"), localhost(), TTL);
        for name in 0..4 * MAX_NAMES {
            cache.insert(key(&name), localhost(), TTL);
            if name % 100 == 0 {
                cache.get(&key(&"frequent"));
            }
        }
        cache.0.run_pending_tasks();
        assert!(cache.get(&key(&"frequent")).is_some());
    }
}
