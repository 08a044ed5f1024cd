use std::{net::SocketAddr, ops::Range};

use proptest::prelude::*;

use super::*;

/// The process itself. It's allowed to take all shared slots.
fn own() -> Caller {
    Caller::at(None)
}

fn caller(last: u8) -> Caller {
    Caller::at(Some(SocketAddr::from(([127, 0, 0, last], 1))))
}

fn gate(slots: usize, reserved: usize, per_host: Option<usize>) -> Gate {
    Gate::new(Capacity {
        slots,
        reserved,
        per_host,
    })
}

fn ids(indices: Range<u32>) -> impl Iterator<Item = Sendable> {
    indices.map(Sendable::for_test)
}

/// Adds a batch of `count` requests that all go to the same host.
fn join(gate: &Gate, concurrency: usize, count: u32) -> BatchQueue {
    gate.join(own(), concurrency, ids(0..count), host)
}

fn host(_: Sendable) -> String {
    "host".to_owned()
}

fn take_all(batch: &BatchQueue) -> Vec<(Sendable, Slot)> {
    std::iter::from_fn(|| batch.take()).collect()
}

fn indices(taken: &[(Sendable, Slot)]) -> Vec<u32> {
    taken.iter().map(|(request, _)| request.index()).collect()
}

#[test]
fn batch_does_not_exceed_its_concurrency() {
    let gate = gate(100, 10, None);
    let batch = join(&gate, 3, 5);
    let mut taken = take_all(&batch);
    assert_eq!(indices(&taken), [0, 1, 2]);
    drop(taken.remove(1));
    let next = take_all(&batch);
    assert_eq!(indices(&next), [3]);
    let waits = Waits {
        batch: 1,
        ..Waits::default()
    };
    assert_eq!(gate.counts().waits, waits);
    drop((taken, next));
    assert_eq!(indices(&take_all(&batch)), [4]);
    assert!(batch.is_empty());
    let counts = gate.counts();
    assert_eq!((counts.waiting, counts.in_flight), (0, 0));
}

#[test]
fn one_slot_is_reserved_for_each_batch() {
    let gate = gate(6, 3, None);
    let first = join(&gate, 100, 100);
    // It gets its reserved slot plus all three shared slots.
    let greedy = take_all(&first);
    assert_eq!(greedy.len(), 4);
    let others = [join(&gate, 100, 2), join(&gate, 100, 2)];
    for other in &others {
        let own = take_all(other);
        assert_eq!(indices(&own), [0]);
        drop(own);
        assert_eq!(
            indices(&take_all(other)),
            [1],
            "its reserved slot is free again"
        );
    }
    assert!(first.take().is_none());
    drop(greedy);
    assert_eq!(take_all(&first).len(), 4);
}

#[test]
fn freed_slots_go_to_the_batches_in_turn() {
    let gate = gate(9, 3, None);
    let large = join(&gate, 100, 100);
    let mut held = take_all(&large);
    let small = [join(&gate, 100, 4), join(&gate, 100, 4)];
    let mut kept: Vec<_> = small.iter().flat_map(take_all).collect();
    assert_eq!((held.len(), kept.len()), (7, 2));
    for _ in 0..3 {
        // We just freed three shared slots, so each batch gets one.
        let freed: Vec<_> = held.drain(..3).collect();
        drop(freed);
        let got = [&large, &small[0], &small[1]].map(take_all);
        assert_eq!(got.each_ref().map(Vec::len), [1, 1, 1]);
        let [more, one, other] = got;
        held.extend(more);
        kept.extend(one.into_iter().chain(other));
    }
    assert!(small.iter().all(BatchQueue::is_empty));
    assert!(gate.counts().waits.process > 0);
}

#[test]
fn wait_for_the_share_of_a_caller_is_a_wait_for_the_process() {
    let gate = gate(40 + 20, 20, None);
    let batch = gate.join(caller(1), 100, ids(0..100), host);
    let mut taken = take_all(&batch);
    // The one slot that's left is for other callers.
    assert_eq!((taken.len(), gate.counts().waits.process), (40, 0));
    drop(taken.pop());
    assert_eq!(
        (take_all(&batch).len(), gate.counts().waits.process),
        (1, 1)
    );
}

#[test]
fn batch_beside_a_greedy_one_borrows_slots() {
    let gate = gate(40 + 20, 20, None);
    let greedy = gate.join(caller(1), 100, ids(0..100), host);
    let taken = take_all(&greedy);
    assert!(!gate.has_other_waiters(caller(1)) && gate.has_other_waiters(caller(2)));
    let other = gate.join(caller(2), 100, ids(0..100), host);
    let borrowed = take_all(&other);
    assert_eq!((taken.len(), borrowed.len()), (40, 8));
    // There are still enough reserved slots for new batches.
    let late: Vec<_> = (0..12)
        .map(|_| gate.join(caller(3), 100, ids(0..1), host))
        .collect();
    assert!(late.iter().all(|batch| take_all(batch).len() == 1));
    drop((taken, borrowed, greedy, other, late));
    gate.state().check(60);
    assert!(gate.state().is_idle());
}

#[test]
fn freed_slots_go_to_the_callers_in_turn() {
    let gate = gate(100 + 8, 8, None);
    // This takes all shared slots. The batches below take all reserved slots, so there
    // are none left to borrow.
    let filling = gate.join(own(), 1000, ids(0..1000), host);
    let mut held = take_all(&filling);
    let many: Vec<_> = (0..4)
        .map(|_| gate.join(caller(1), 100, ids(0..100), host))
        .collect();
    let one = gate.join(caller(2), 100, ids(0..100), host);
    let kept: Vec<_> = many.iter().chain([&one]).map(take_all).collect();
    assert!(kept.iter().all(|kept| !kept.is_empty()));
    filling.close();
    held.truncate(held.len() - 20);
    let of_many: usize = many.iter().map(|batch| take_all(batch).len()).sum();
    let of_one = take_all(&one).len();
    assert!(of_many.abs_diff(of_one) <= 4, "{of_many} and {of_one}");
}

#[test]
fn stalled_batch_gets_only_its_reserved_slot() {
    let gate = gate(100, 4, None);
    let batch = join(&gate, 10, 100);
    let mut taken = take_all(&batch);
    let stalled = batch.stall();
    taken.truncate(4);
    assert!(batch.take().is_none());
    taken.clear();
    assert_eq!(take_all(&batch).len(), 1, "only its reserved slot");
    drop(stalled);
    assert_eq!(take_all(&batch).len(), 10);
}

#[test]
fn exchange_takes_the_next_request_of_the_same_batch() {
    let gate = gate(3, 2, None);
    let (batch, other) = (join(&gate, 2, 3), join(&gate, 2, 2));
    let mut taken = take_all(&batch);
    let (_, slot) = taken.remove(0);
    let _others = take_all(&other);
    // The shared slot goes to the other batch, because it's that one's turn.
    assert!(batch.exchange(slot).is_none());
    assert_eq!(indices(&take_all(&other)), [1]);
    let (_, slot) = taken.remove(0);
    let (request, _slot) = batch.exchange(slot).expect("its reserved slot is free");
    assert_eq!(request.index(), 2);
}

#[test]
fn full_host_does_not_block_other_hosts() {
    let gate = gate(100, 10, Some(2));
    let hosts = ["slow", "slow", "slow", "slow", "fast", "slow", "fast"];
    let host_of = |request: Sendable| hosts[request.index() as usize].to_owned();
    let batch = gate.join(own(), 100, ids(0..7), host_of);
    let taken = take_all(&batch);
    assert_eq!(indices(&taken), [0, 1, 4, 6]);
    // Both hosts are full for the other batch.
    let other = gate.join(own(), 100, ids(0..7), host_of);
    assert!(other.take().is_none());
    // The freed slot goes to the other batch, since it has nothing in flight.
    let mut taken = taken.into_iter();
    drop(taken.next());
    let theirs = take_all(&other);
    assert_eq!(indices(&theirs), [0]);
    assert!(batch.take().is_none());
    drop((taken, theirs));
    let (mine, theirs) = (take_all(&batch), take_all(&other));
    assert_eq!(
        (mine.len(), theirs.len()),
        (1, 3),
        "one slow request, and two fast ones"
    );
    assert!(gate.counts().waits.host > 0);
    drop((batch, other, mine, theirs));
    assert!(gate.state().is_idle());
}

#[test]
fn request_that_is_put_back_keeps_its_place() {
    let gate = gate(10, 1, None);
    let batch = join(&gate, 2, 5);
    let mut taken = take_all(&batch);
    let (request, slot) = taken.remove(0);
    assert!(batch.put_back(request, host));
    assert!(
        batch.take().is_none(),
        "the batch has reached its concurrency"
    );
    drop(slot);
    assert_eq!(indices(&take_all(&batch)), [0]);
    assert_eq!(batch.close().len(), 3);
    assert!(batch.is_empty());
}

#[test]
fn dropped_batch_frees_its_slots() {
    let gate = gate(10, 2, Some(3));
    let batch = join(&gate, 5, 10);
    let slot = batch.take();
    let waiting = join(&gate, 5, 10);
    assert!(waiting.take().is_none(), "the host is full");
    drop(batch);
    // We only took one slot, and we still hold it. The other two are free.
    assert_eq!(take_all(&waiting).len(), 2);
    drop(slot);
    drop(waiting);
    assert!(gate.state().is_idle());
}

#[derive(Debug, Clone)]
enum Step {
    Join { concurrency: usize, hosts: Vec<u8> },
    Take { batch: usize },
    Release { slot: usize },
    PutBack { slot: usize },
    Leave { batch: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1..6_usize, prop::collection::vec(0..4_u8, 1..12))
            .prop_map(|(concurrency, hosts)| Step::Join { concurrency, hosts }),
        6 => (0..8_usize).prop_map(|batch| Step::Take { batch }),
        6 => (0..32_usize).prop_map(|slot| Step::Release { slot }),
        1 => (0..32_usize).prop_map(|slot| Step::PutBack { slot }),
        1 => (0..8_usize).prop_map(|batch| Step::Leave { batch }),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn limits_hold_and_no_slot_is_wasted(
        steps in steps(),
        shared in 0..6_usize,
        per_host in prop::option::of(1..4_usize),
    ) {
        const BATCHES: usize = 4;
        let gate = gate(BATCHES + shared, BATCHES, per_host);
        let mut batches: Vec<(BatchQueue, Vec<u8>)> = Vec::new();
        let mut slots: Vec<(Sendable, Slot)> = Vec::new();
        for step in steps {
            match step {
                Step::Join { concurrency, hosts } if batches.len() < BATCHES => {
                    let count = u32::try_from(hosts.len()).unwrap();
                    let batch = gate.join(own(), concurrency, ids(0..count), |request| {
                        hosts[request.index() as usize].to_string()
                    });
                    batches.push((batch, hosts));
                }
                Step::Take { batch } if batch < batches.len() => slots.extend(batches[batch].0.take()),
                Step::Release { slot } if slot < slots.len() => drop(slots.swap_remove(slot)),
                Step::PutBack { slot } if slot < slots.len() => {
                    let (request, slot) = slots.swap_remove(slot);
                    if let Some((batch, hosts)) = batches.iter().find(|(batch, _)| batch.id == slot.batch) {
                        let host_of = |request: Sendable| hosts[request.index() as usize].to_string();
                        prop_assert!(batch.put_back(request, host_of));
                    }
                }
                Step::Leave { batch } if batch < batches.len() => {
                    // Drop its requests in flight, too. Otherwise we could end up with
                    // more batches than reserved slots.
                    let (batch, _) = batches.swap_remove(batch);
                    slots.retain(|(_, slot)| slot.batch != batch.id);
                }
                _ => {}
            }
            gate.state().check(BATCHES + shared);
        }
        drop((batches, slots));
        prop_assert!(gate.state().is_idle());
    }
}

#[test]
fn many_batches_of_one_caller_leave_slots_to_other_callers() {
    let gate = gate(1024, 256, None);
    let batches: Vec<_> = (0..200)
        .map(|_| gate.join(caller(1), 50, ids(0..100), host))
        .collect();
    let mut held: Vec<Vec<_>> = batches.iter().map(take_all).collect();
    // End a request of every batch, and let the batch take more before we get to the next
    // one.
    for _ in 0..3 {
        for (batch, held) in batches.iter().zip(&mut held) {
            if let Some((_, slot)) = held.pop() {
                held.extend(batch.exchange(slot));
            }
            held.extend(take_all(batch));
        }
    }
    let all: usize = held.iter().map(Vec::len).sum();
    assert!((900..=768 + 200).contains(&all), "{all}");
    // Stalled batches don't count against their caller's other batches.
    let _stalled: Vec<_> = batches.iter().map(BatchQueue::stall).collect();
    let read = gate.join(caller(1), 50, ids(0..100), host);
    assert!(take_all(&read).len() > 10);
}

#[test]
fn caller_with_many_batches_gets_no_more_slots_than_one_with_a_single_batch() {
    for (slots, reserved) in [(256, 128), (512, 128), (1024, 256), (1024, 512)] {
        let gate = gate(slots, reserved, None);
        let mut batches: Vec<_> = (0..100)
            .map(|_| gate.join(caller(1), 50, ids(0..1_000), host))
            .collect();
        batches.push(gate.join(caller(2), 512, ids(0..1_000), host));
        let mut held: Vec<Vec<_>> = batches.iter().map(take_all).collect();
        // End one request of each batch at a time. At the beginning, a few batches have
        // nearly all slots.
        for _ in 0..100 {
            for (batch, held) in batches.iter().zip(&mut held) {
                if !held.is_empty() {
                    let (_, slot) = held.remove(0);
                    held.extend(batch.exchange(slot));
                }
                held.extend(take_all(batch));
            }
        }
        gate.state().check(slots);
        let one = held.pop().unwrap().len();
        let many: usize = held.iter().map(Vec::len).sum();
        assert!(many.abs_diff(one) <= slots / 50, "{many} and {one}");
        assert!(held.iter().all(|held| !held.is_empty()));
    }
}

#[test]
fn single_caller_leaves_slots_to_the_next() {
    let gate = gate(1024, 256, None);
    let greedy = gate.join(caller(1), 10_000, ids(0..10_000), host);
    let held = take_all(&greedy);
    assert!(held.len() > 740, "{}", held.len());
    let next = gate.join(caller(2), 50, ids(0..100), host);
    let taken = take_all(&next).len();
    assert!((20..=50).contains(&taken), "{taken}");
}

#[test]
fn the_limit_that_holds_a_batch_back_is_known() {
    let held = |gate: &Gate, batch: &BatchQueue| gate.standings().of(batch).held_by;
    let gate = gate(40 + 20, 20, Some(30));
    let narrow = gate.join(caller(1), 2, ids(0..3), |_| "narrow".to_owned());
    assert_eq!(held(&gate, &narrow), Some(Hold::Batch));
    let crowded = gate.join(caller(1), 100, ids(0..35), host);
    assert_eq!(held(&gate, &crowded), Some(Hold::Host));
    let greedy = gate.join(caller(1), 100, ids(0..100), |id| id.index().to_string());
    assert_eq!(held(&gate, &greedy), Some(Hold::Caller));
    let next = gate.join(caller(2), 100, ids(0..100), |id| id.index().to_string());
    assert_eq!(held(&gate, &next), Some(Hold::Process));
    let stalled = next.stall();
    assert_eq!(held(&gate, &next), Some(Hold::Reader));
    drop(stalled);
    let standings = gate.standings();
    let of_next = standings.of(&next);
    assert_eq!(of_next.in_flight + of_next.waiting, 100);
    // By now, there's no free slot for the greedy batch either.
    let of_greedy = standings.of(&greedy);
    assert_eq!(
        standings.waiting_for(Hold::Process),
        of_next.waiting + of_greedy.waiting
    );
    assert_eq!(standings.waiting_for(Hold::Batch), 1);
    greedy.close();
    assert_eq!(held(&gate, &greedy), None);
}
