//! Randomness from the seed alone.
//!
//! tokio's `select!`, the standard library's hash maps and others get theirs from the
//! operating system. The standard library calls `getrandom` through a weak symbol, so that
//! programs can replace it, and this one does: the same seed gives the same run.

use std::{
    slice,
    sync::atomic::{AtomicU64, Ordering},
};

/// The state of the generator (`SplitMix64`, which adds the same number at each step).
static STATE: AtomicU64 = AtomicU64::new(0);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Seeds all randomness of this process. Call it before anything else.
pub(crate) fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
    fastrand::seed(next());
}

fn next() -> u64 {
    let mut mixed = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Replaces getrandom(2). Nothing in this program needs randomness that can't be guessed.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: like those of getrandom(2), callers pass a buffer of this length.
    let buffer = unsafe { slice::from_raw_parts_mut(buffer, length) };
    for chunk in buffer.chunks_mut(8) {
        chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
    }
    length.cast_signed()
}
