//! A cache line of shared words on the host. In the kernel programs a map's value is one.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use crate::entry::{ENTRY_WORDS, Words};
use crate::pot::POT_WORDS;

/// Eight words in one cache line, which several CPUs read and write at once.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Line([AtomicU64; ENTRY_WORDS]);
const _: () = assert!(size_of::<Line>() == 64 && POT_WORDS == ENTRY_WORDS);

impl Words for &Line {
    #[inline(always)]
    fn load(&self, at: usize) -> u64 {
        self.0[at].load(Acquire)
    }

    #[inline(always)]
    fn store(&self, at: usize, value: u64) {
        self.0[at].store(value, Release);
    }

    #[inline(always)]
    fn swap(&self, at: usize, old: u64, new: u64) -> bool {
        self.0[at].compare_exchange(old, new, AcqRel, Acquire).is_ok()
    }
}
