use std::net::SocketAddr;

use super::*;

fn peer(last: u8) -> Peer {
    Peer::Tcp(SocketAddr::from(([127, 0, 0, last], 1)))
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed_for_one_with_a_batch() {
    let registry = Registry::new(2);
    let (busy, idle) = (registry.register(peer(1)), registry.register(peer(1)));
    let _batch = busy.begin_batch();
    let overflow = registry.register(peer(2));
    let waiting = overflow.begin_batch();
    let begun = Instant::now();
    tokio::select! {
        _ = waiting.permit() => panic!("no permit is free"),
        () = busy.asked_to_close() => panic!("the connection has a batch"),
        () = idle.asked_to_close() => {}
    }
    assert!(begun.elapsed() >= IDLE && begun.elapsed() < 2 * IDLE);
    drop(idle);
    assert!(waiting.permit().await);
    assert!(!overflow.signals.close.is_cancelled() && !busy.signals.close.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn few_batches_wait_for_the_permit_of_one_connection() {
    let registry = Registry::new(1);
    let first = registry.register(peer(1));
    let batches: Vec<_> = (0..2 * MAX_WAITING).map(|_| first.begin_batch()).collect();
    for batch in &batches {
        assert!(batch.permit().await);
    }
    let overflow = registry.register(peer(2));
    let waiting: Vec<_> = (0..MAX_WAITING).map(|_| overflow.begin_batch()).collect();
    let timeout = Duration::from_secs(10);
    assert!(time::timeout(timeout, waiting[0].permit()).await.is_err());
    assert!(!overflow.begin_batch().permit().await, "one too many");
    drop((first, batches));
    assert!(waiting[0].permit().await);
}

#[test]
fn overflow_of_the_busiest_caller_is_evicted_first() {
    let registry = Registry::new(1);
    let _with_permit = registry.register(peer(1));
    let probe = registry.register(peer(2));
    let many: Vec<_> = (0..3 * MAX_OVERFLOW)
        .map(|_| registry.register(peer(3)))
        .collect();
    assert!(!probe.signals.close.is_cancelled());
    let staying = many.iter().filter(|one| !one.signals.close.is_cancelled());
    assert_eq!(staying.count(), MAX_OVERFLOW - 1);
    assert!(
        !many[many.len() - 1].signals.close.is_cancelled(),
        "the oldest are evicted"
    );
}

#[tokio::test(start_paused = true)]
async fn time_with_a_batch_is_not_idle() {
    let registry = Registry::new(1);
    let connection = registry.register(peer(1));
    let begun = Instant::now();
    let batch = async {
        let _batch = connection.begin_batch();
        time::sleep(2 * IDLE).await;
    };
    tokio::join!(batch, connection.idle_for(IDLE));
    assert!(begun.elapsed() >= 3 * IDLE);
}

#[test]
fn idle_connections_of_the_busiest_caller_make_room_for_others() {
    let registry = Registry::new(100);
    let other = registry.register(peer(1));
    let many: Vec<_> = (0..10).map(|_| registry.register(peer(2))).collect();
    let _batch = many[0].begin_batch();
    registry.make_room_for_accept();
    assert!(!other.signals.evict.is_cancelled());
    let evicted: Vec<_> = many
        .iter()
        .map(|one| one.signals.evict.is_cancelled())
        .collect();
    let expected: Vec<_> = (0..10)
        .map(|index| (1..=EVICTED_AT_ONCE).contains(&index))
        .collect();
    assert_eq!(evicted, expected, "the oldest without a batch are evicted");
}
