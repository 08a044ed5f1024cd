use proptest::prelude::*;

use std::net::SocketAddr;

use super::*;

/// The process itself, which may take everything.
fn own() -> Caller {
    Caller::at(None)
}

fn caller(last: u8) -> Caller {
    Caller::at(Some(SocketAddr::from(([127, 0, 0, last], 1))))
}

fn gate(slots: usize, batches: usize, per_host: Option<usize>) -> Gate {
    Gate::new(Room {
        slots,
        batches,
        per_host,
    })
}

/// A batch of `count` requests for one host.
fn join(gate: &Gate, concurrency: usize, count: u32) -> Line {
    gate.join(own(), concurrency, 0..count, host)
}

fn host(_: u32) -> String {
    "host".to_owned()
}

fn take_all(line: &Line) -> Vec<(u32, Slot)> {
    std::iter::from_fn(|| line.take()).collect()
}

fn indices(taken: &[(u32, Slot)]) -> Vec<u32> {
    taken.iter().map(|(index, _)| *index).collect()
}

#[test]
fn a_batch_has_no_more_than_its_concurrency() {
    let gate = gate(100, 10, None);
    let line = join(&gate, 3, 5);
    let mut taken = take_all(&line);
    assert_eq!(indices(&taken), [0, 1, 2]);
    drop(taken.remove(1));
    let next = take_all(&line);
    assert_eq!(indices(&next), [3]);
    assert_eq!(gate.waits(), [1, 0, 0]);
    drop((taken, next));
    assert_eq!(indices(&take_all(&line)), [4]);
    assert!(line.is_empty());
    assert_eq!(gate.counts(), (0, 0));
}

#[test]
fn one_slot_is_kept_for_every_batch() {
    let gate = gate(6, 3, None);
    let first = join(&gate, 100, 100);
    // Its own, and the three that are shared.
    let greedy = take_all(&first);
    assert_eq!(greedy.len(), 4);
    let others = [join(&gate, 100, 2), join(&gate, 100, 2)];
    for other in &others {
        let own = take_all(other);
        assert_eq!(indices(&own), [0]);
        drop(own);
        assert_eq!(indices(&take_all(other)), [1], "its slot again");
    }
    assert!(first.take().is_none());
    drop(greedy);
    assert_eq!(take_all(&first).len(), 4);
}

#[test]
fn freed_slots_go_round() {
    let gate = gate(9, 3, None);
    let large = join(&gate, 100, 100);
    let mut held = take_all(&large);
    let small = [join(&gate, 100, 4), join(&gate, 100, 4)];
    let mut kept: Vec<_> = small.iter().flat_map(take_all).collect();
    assert_eq!((held.len(), kept.len()), (7, 2));
    for _ in 0..3 {
        // Three shared slots in turn: one for each batch.
        let freed: Vec<_> = held.drain(..3).collect();
        drop(freed);
        let got = [&large, &small[0], &small[1]].map(take_all);
        assert_eq!(got.each_ref().map(Vec::len), [1, 1, 1]);
        let [more, one, other] = got;
        held.extend(more);
        kept.extend(one.into_iter().chain(other));
    }
    assert!(small.iter().all(Line::is_empty));
    assert!(gate.waits()[2] > 0, "{:?}", gate.waits());
}

#[test]
fn a_batch_beside_a_greedy_one_borrows_slots() {
    let gate = gate(40 + 20, 20, None);
    let greedy = gate.join(caller(1), 100, 0..100, host);
    let taken = take_all(&greedy);
    assert!(!gate.is_wanted_beside(caller(1)) && gate.is_wanted_beside(caller(2)));
    let other = gate.join(caller(2), 100, 0..100, host);
    let borrowed = take_all(&other);
    assert_eq!((taken.len(), borrowed.len()), (40, 8));
    // Enough is left for those that come.
    let late: Vec<_> = (0..12)
        .map(|_| gate.join(caller(3), 100, 0..1, host))
        .collect();
    assert!(late.iter().all(|line| take_all(line).len() == 1));
    drop((taken, borrowed, greedy, other, late));
    gate.state().check(60);
    assert!(gate.state().is_idle());
}

#[test]
fn slots_go_round_the_callers() {
    let gate = gate(100 + 8, 8, None);
    // All that is shared, and none is left to be borrowed.
    let filling = gate.join(own(), 1000, 0..1000, host);
    let mut held = take_all(&filling);
    let many: Vec<_> = (0..4)
        .map(|_| gate.join(caller(1), 100, 0..100, host))
        .collect();
    let one = gate.join(caller(2), 100, 0..100, host);
    let kept: Vec<_> = many.iter().chain([&one]).map(take_all).collect();
    assert!(kept.iter().all(|kept| !kept.is_empty()));
    filling.close();
    held.truncate(held.len() - 20);
    let of_many: usize = many.iter().map(|line| take_all(line).len()).sum();
    let of_one = take_all(&one).len();
    assert!(of_many.abs_diff(of_one) <= 4, "{of_many} and {of_one}");
}

#[test]
fn a_batch_that_is_not_read_gets_no_more_slots() {
    let gate = gate(100, 4, None);
    let line = join(&gate, 10, 100);
    let mut taken = take_all(&line);
    let stalled = line.stall();
    taken.truncate(4);
    assert!(line.take().is_none());
    taken.clear();
    assert_eq!(take_all(&line).len(), 1, "its own slot is left to it");
    drop(stalled);
    assert_eq!(take_all(&line).len(), 10);
}

#[test]
fn an_exchange_takes_the_next_request_of_the_same_batch() {
    let gate = gate(3, 2, None);
    let (line, other) = (join(&gate, 2, 3), join(&gate, 2, 2));
    let mut taken = take_all(&line);
    let (_, slot) = taken.remove(0);
    let _others = take_all(&other);
    // The shared slot goes to the other batch, whose turn it is.
    assert!(line.exchange(slot).is_none());
    assert_eq!(indices(&take_all(&other)), [1]);
    let (_, slot) = taken.remove(0);
    let (index, _slot) = line.exchange(slot).expect("its own slot is free");
    assert_eq!(index, 2);
}

#[test]
fn a_full_host_blocks_no_other() {
    let gate = gate(100, 10, Some(2));
    let hosts = ["slow", "slow", "slow", "slow", "fast", "slow", "fast"];
    let host_of = |index| hosts[index as usize].to_owned();
    let line = gate.join(own(), 100, 0..7, host_of);
    let taken = take_all(&line);
    assert_eq!(indices(&taken), [0, 1, 4, 6]);
    // Also for another batch, whose fast ones are blocked by the first's.
    let other = gate.join(own(), 100, 0..7, host_of);
    assert!(other.take().is_none());
    // A batch with nothing in flight comes first.
    let mut taken = taken.into_iter();
    drop(taken.next());
    let theirs = take_all(&other);
    assert_eq!(indices(&theirs), [0]);
    assert!(line.take().is_none());
    drop((taken, theirs));
    let (mine, theirs) = (take_all(&line), take_all(&other));
    assert_eq!((mine.len(), theirs.len()), (1, 3), "one slow, and two fast");
    assert!(gate.waits()[1] > 0);
    drop((line, other, mine, theirs));
    assert!(gate.state().is_idle());
}

#[test]
fn a_request_that_is_put_back_comes_before_those_behind_it() {
    let gate = gate(10, 1, None);
    let line = join(&gate, 2, 5);
    let mut taken = take_all(&line);
    let (index, slot) = taken.remove(0);
    assert!(line.put_back(index, host));
    assert!(line.take().is_none(), "the batch has no room");
    drop(slot);
    assert_eq!(indices(&take_all(&line)), [0]);
    assert_eq!(line.close().len(), 3);
    assert!(line.is_empty());
}

#[test]
fn a_batch_that_leaves_gives_all_back() {
    let gate = gate(10, 2, Some(3));
    let line = join(&gate, 5, 10);
    let slot = line.take();
    let waiting = join(&gate, 5, 10);
    assert!(waiting.take().is_none(), "the host is full");
    drop(line);
    // Two were started and not taken; the third is still out.
    assert_eq!(take_all(&waiting).len(), 2);
    drop(slot);
    drop(waiting);
    assert!(gate.state().is_idle());
}

#[derive(Debug, Clone)]
enum Step {
    Join { concurrency: usize, hosts: Vec<u8> },
    Take { line: usize },
    Release { slot: usize },
    PutBack { slot: usize },
    Leave { line: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1..6_usize, prop::collection::vec(0..4_u8, 1..12))
            .prop_map(|(concurrency, hosts)| Step::Join { concurrency, hosts }),
        6 => (0..8_usize).prop_map(|line| Step::Take { line }),
        6 => (0..32_usize).prop_map(|slot| Step::Release { slot }),
        1 => (0..32_usize).prop_map(|slot| Step::PutBack { slot }),
        1 => (0..8_usize).prop_map(|line| Step::Leave { line }),
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
    fn no_limit_is_passed_and_no_room_is_wasted(
        steps in steps(),
        shared in 0..6_usize,
        per_host in prop::option::of(1..4_usize),
    ) {
        const BATCHES: usize = 4;
        let gate = gate(BATCHES + shared, BATCHES, per_host);
        let mut lines: Vec<(Line, Vec<u8>)> = Vec::new();
        let mut slots: Vec<(u32, Slot)> = Vec::new();
        for step in steps {
            match step {
                Step::Join { concurrency, hosts } if lines.len() < BATCHES => {
                    let count = u32::try_from(hosts.len()).unwrap();
                    let line = gate.join(own(), concurrency, 0..count, |index| {
                        hosts[index as usize].to_string()
                    });
                    lines.push((line, hosts));
                }
                Step::Take { line } if line < lines.len() => slots.extend(lines[line].0.take()),
                Step::Release { slot } if slot < slots.len() => drop(slots.swap_remove(slot)),
                Step::PutBack { slot } if slot < slots.len() => {
                    let (index, slot) = slots.swap_remove(slot);
                    if let Some((line, hosts)) = lines.iter().find(|(line, _)| line.id == slot.line) {
                        prop_assert!(line.put_back(index, |index| hosts[index as usize].to_string()));
                    }
                }
                Step::Leave { line } if line < lines.len() => {
                    // What it has in flight ends with it, or this is more than
                    // the batches that slots are kept for.
                    let (line, _) = lines.swap_remove(line);
                    slots.retain(|(_, slot)| slot.line != line.id);
                }
                _ => {}
            }
            gate.state().check(BATCHES + shared);
        }
        drop((lines, slots));
        prop_assert!(gate.state().is_idle());
    }
}

#[test]
fn many_batches_of_one_caller_leave_slots_for_others() {
    let gate = gate(1024, 256, None);
    let lines: Vec<_> = (0..200)
        .map(|_| gate.join(caller(1), 50, 0..100, host))
        .collect();
    let mut held: Vec<Vec<_>> = lines.iter().map(take_all).collect();
    // Some of each are done before the next stop.
    for _ in 0..3 {
        for (line, held) in lines.iter().zip(&mut held) {
            if let Some((_, slot)) = held.pop() {
                held.extend(line.exchange(slot));
            }
            held.extend(take_all(line));
        }
    }
    let all: usize = held.iter().map(Vec::len).sum();
    assert!((900..=768 + 200).contains(&all), "{all}");
    // Those that are not read do not count against another of the same caller.
    let _stalled: Vec<_> = lines.iter().map(Line::stall).collect();
    let read = gate.join(caller(1), 50, 0..100, host);
    assert!(take_all(&read).len() > 10);
}

#[test]
fn a_caller_alone_leaves_slots_for_the_next() {
    let gate = gate(1024, 256, None);
    let greedy = gate.join(caller(1), 10_000, 0..10_000, host);
    let held = take_all(&greedy);
    assert!(held.len() > 740, "{}", held.len());
    let next = gate.join(caller(2), 50, 0..100, host);
    let taken = take_all(&next).len();
    assert!((20..=50).contains(&taken), "{taken}");
}
