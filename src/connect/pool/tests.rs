//! What is kept, for how long, and who gets it.

use std::sync::atomic::{AtomicU8, Ordering};

use super::*;

/// A connection by its number, and what it has to read.
#[derive(Debug, Clone)]
struct Numbered(u32, Arc<AtomicU8>);

impl Keep for Numbered {
    fn quiet(&mut self) -> Quiet {
        match self.1.load(Ordering::Relaxed) {
            0 => Quiet::Yes,
            1 => Quiet::Ended,
            _ => Quiet::Unasked,
        }
    }

    /// Those with a high number.
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
    Pool::new(Limits {
        total: 4,
        per_origin: 3,
        idle: Duration::from_secs(4),
    })
}

fn taken(pool: &Pool<Numbered>, origin: &Origin) -> Vec<u32> {
    std::iter::from_fn(|| pool.take(origin))
        .map(|connection| connection.0)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_taken_and_the_oldest_evicted() {
    let (pool, a, b) = (pool(), origin("http://a/"), origin("http://b:81/"));
    (0..4).for_each(|number| pool.put(a.clone(), numbered(number)));
    assert_eq!(taken(&pool, &a), [3, 2, 1], "three of one origin");
    (0..3).for_each(|number| pool.put(a.clone(), numbered(number)));
    (3..5).for_each(|number| pool.put(b.clone(), numbered(number)));
    assert_eq!(taken(&pool, &a), [2, 1], "four in all");
    assert_eq!(taken(&pool, &b), [4, 3]);
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
async fn what_is_old_is_closed_without_further_traffic() {
    let (pool, a) = (pool(), origin("http://a/"));
    let first = numbered(1);
    pool.put(a.clone(), first.clone());
    time::sleep(Duration::from_secs(3)).await;
    pool.put(a.clone(), numbered(2));
    time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(Arc::strong_count(&first.1), 1, "it is closed");
    assert_eq!(taken(&pool, &a), [2]);
    time::sleep(Duration::from_secs(5)).await;
    assert!(pool.0.state().sweeping.is_none());
    pool.put(a.clone(), first.clone());
    time::sleep(Duration::from_secs(5)).await;
    assert_eq!(Arc::strong_count(&first.1), 1, "a later sweep closes it");
    let state = pool.0.state();
    assert!(state.origins.is_empty() && state.ages.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_quiet_is_not_taken() {
    let (pool, a) = (pool(), origin("http://a/"));
    let (ended, unasked) = (numbered(2), numbered(4));
    for connection in [numbered(1), ended.clone()] {
        pool.put(a.clone(), connection);
    }
    ended.1.store(1, Ordering::Relaxed);
    assert_eq!(taken(&pool, &a), [1]);
    for connection in [numbered(3), unasked.clone()] {
        pool.put(a.clone(), connection);
    }
    unasked.1.store(2, Ordering::Relaxed);
    assert_eq!(taken(&pool, &a), [0; 0], "no other of that origin either");
    pool.put(a.clone(), numbered(5));
    assert_eq!(taken(&pool, &a), [0; 0], "nor a later one");
    time::sleep(DISTRUST).await;
    pool.put(a.clone(), numbered(6));
    assert_eq!(taken(&pool, &a), [6]);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_sent_twice_waits_for_proof() {
    let (pool, a) = (pool(), origin("http://a/"));
    let number = |taken: Option<Numbered>| taken.map(|connection| connection.0);
    pool.put(a.clone(), numbered(1));
    assert_eq!(number(pool.take_proven(&a)), None);
    time::sleep(PROOF).await;
    pool.put(a.clone(), numbered(2));
    assert_eq!(
        number(pool.take_proven(&a)),
        Some(1),
        "quiet for long enough"
    );
    assert_eq!(
        number(pool.take_proven(&a)),
        Some(2),
        "the origin keeps them"
    );
    pool.broke(&a);
    pool.put(a.clone(), numbered(3));
    assert_eq!(number(pool.take_proven(&a)), None, "not all of them");
    pool.put(a.clone(), numbered(100));
    assert_eq!(number(pool.take_proven(&a)), Some(100), "it was reused");
    assert_eq!(number(pool.take_proven(&a)), Some(3));
}
