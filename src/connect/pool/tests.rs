//! Tests which connections are pooled, for how long, and in which order we hand them out.

use std::sync::atomic::{AtomicU8, Ordering};

use http::Uri;
use tokio::time;

use super::*;

/// A numbered connection. Tests can change its state.
#[derive(Debug, Clone)]
struct Numbered(u32, Arc<AtomicU8>);

const CLOSED: u8 = 1;
const UNEXPECTED_DATA: u8 = 2;

impl Poolable for Numbered {
    fn idle_state(&mut self) -> IdleState {
        match self.1.load(Ordering::Relaxed) {
            CLOSED => IdleState::Closed,
            UNEXPECTED_DATA => IdleState::UnexpectedData,
            _ => IdleState::Open,
        }
    }

    /// Connections numbered 100 and up count as reused.
    fn was_reused(&self) -> bool {
        self.0 >= 100
    }
}

fn numbered(number: u32) -> Numbered {
    Numbered(number, Arc::default())
}

fn origin(url: &'static str) -> Origin {
    Origin::of(&Uri::from_static(url)).unwrap()
}

fn pool() -> Pool<Numbered> {
    Pool::new(PoolLimits {
        total: 4,
        per_origin: 3,
        idle_timeout: Duration::from_secs(4),
    })
}

fn take_all(pool: &Pool<Numbered>, origin: &Origin) -> Vec<u32> {
    std::iter::from_fn(|| pool.take(origin))
        .map(|connection| connection.0)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn newest_is_taken_and_oldest_is_evicted() {
    let (pool, a, b) = (pool(), origin("http://a/"), origin("http://b:81/"));
    (0..4).for_each(|number| pool.put(a.clone(), numbered(number)));
    assert_eq!(
        take_all(&pool, &a),
        [3, 2, 1],
        "three connections per origin"
    );
    (0..3).for_each(|number| pool.put(a.clone(), numbered(number)));
    (3..5).for_each(|number| pool.put(b.clone(), numbered(number)));
    assert_eq!(take_all(&pool, &a), [2, 1], "four connections in total");
    assert_eq!(take_all(&pool, &b), [4, 3]);
}

#[tokio::test(start_paused = true)]
async fn scheme_host_and_port_make_an_origin() {
    let pool = pool();
    pool.put(origin("http://a/x"), numbered(1));
    for other in ["https://a/x", "http://b/x", "http://a:81/x"] {
        assert!(pool.take(&origin(other)).is_none(), "{other}");
    }
    assert!(pool.take(&origin("http://a/y?z")).is_some());
}

#[tokio::test(start_paused = true)]
async fn expired_connections_are_closed_without_further_traffic() {
    let (pool, a) = (pool(), origin("http://a/"));
    let first = numbered(1);
    pool.put(a.clone(), first.clone());
    time::sleep(Duration::from_secs(3)).await;
    pool.put(a.clone(), numbered(2));
    time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(Arc::strong_count(&first.1), 1, "expired");
    assert_eq!(take_all(&pool, &a), [2]);
    time::sleep(Duration::from_secs(5)).await;
    assert!(pool.0.state.lock().sweeper.is_none());
    pool.put(a.clone(), first.clone());
    time::sleep(Duration::from_secs(5)).await;
    assert_eq!(Arc::strong_count(&first.1), 1, "closed by another sweeper");
    let state = pool.0.state.lock();
    assert!(state.origins.is_empty() && state.ages.is_empty());
}

#[tokio::test(start_paused = true)]
async fn unusable_connections_are_not_taken() {
    let (pool, a) = (pool(), origin("http://a/"));
    let (closed, unexpected) = (numbered(2), numbered(4));
    for connection in [numbered(1), closed.clone()] {
        pool.put(a.clone(), connection);
    }
    closed.1.store(CLOSED, Ordering::Relaxed);
    assert_eq!(take_all(&pool, &a), [1]);
    for connection in [numbered(3), unexpected.clone()] {
        pool.put(a.clone(), connection);
    }
    unexpected.1.store(UNEXPECTED_DATA, Ordering::Relaxed);
    assert_eq!(take_all(&pool, &a), [0; 0], "the origin is quarantined");
    pool.put(a.clone(), numbered(5));
    assert_eq!(take_all(&pool, &a), [0; 0], "also for new connections");
    time::sleep(QUARANTINE).await;
    pool.put(a.clone(), numbered(6));
    assert_eq!(take_all(&pool, &a), [6]);
}

#[tokio::test(start_paused = true)]
async fn non_idempotent_requests_get_only_proven_connections() {
    let (pool, a) = (pool(), origin("http://a/"));
    let number = |taken: Option<Numbered>| taken.map(|connection| connection.0);
    pool.put(a.clone(), numbered(1));
    assert_eq!(number(pool.take_proven(&a)), None);
    time::sleep(PROVEN_AFTER).await;
    pool.put(a.clone(), numbered(2));
    assert_eq!(
        number(pool.take_proven(&a)),
        Some(1),
        "it has been open for long enough"
    );
    assert_eq!(
        number(pool.take_proven(&a)),
        Some(2),
        "the origin keeps connections alive"
    );
    pool.record_broken(&a);
    pool.put(a.clone(), numbered(3));
    assert_eq!(number(pool.take_proven(&a)), None, "one broke");
    pool.put(a.clone(), numbered(100));
    assert_eq!(number(pool.take_proven(&a)), Some(100), "it was reused");
    assert_eq!(number(pool.take_proven(&a)), Some(3));
}
