//! Memory that other CPUs and user space read and write at the same time: the one file of volatile and atomic access.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};
use core::ptr::{read_volatile, write_volatile};

use rp_core::entry::{ENTRY_WORDS, Words};

/// What a map of lines holds.
pub type LineBytes = [u64; ENTRY_WORDS];

/// A line inside a map's value.
#[derive(Clone, Copy)]
pub struct Line(*mut u64);

impl Line {
    /// The line at `value`, which a map's look-up gave: it lives as long as the program runs.
    #[inline(always)]
    pub fn new(value: *mut LineBytes) -> Line {
        Line(value.cast())
    }
}

impl Words for Line {
    #[inline(always)]
    fn load(&self, at: usize) -> u64 {
        // SAFETY: `at` is a constant inside the value wherever this is called, and the verifier checks that. Aligned loads of
        // 64 bits are single on every machine that runs these programs.
        unsafe { read_volatile(self.0.add(at)) }
    }

    #[inline(always)]
    fn store(&self, at: usize, value: u64) {
        // SAFETY: as in `load`.
        unsafe { write_volatile(self.0.add(at), value) }
    }

    #[inline(always)]
    fn swap(&self, at: usize, old: u64, new: u64) -> bool {
        // SAFETY: as in `load`. `core`'s AtomicU64 has no compare_exchange for BPF; the intrinsic becomes one instruction.
        unsafe { compare_and_swap(self.0.add(at), old, new) }
    }
}

/// Replaces `old` by `new`; `false` when the word was not `old`.
///
/// # Safety
/// `word` must lie in a map's value and be aligned.
#[inline(always)]
pub unsafe fn compare_and_swap(word: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's word is valid for atomic access.
    let (_, swapped) =
        unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(word, old, new) };
    swapped
}
