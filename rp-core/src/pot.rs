//! The prizes that wait in one SET, as the gate sees them: rising counters in one cache line.
//!
//! Offered less taken is how many shakes may still claim a prize. The gate takes by compare-and-swap and lets the shake go
//! up, marked; the worker settles each claim: granted, or back to the pot. Only the worker holds the prizes themselves, so a
//! counter that is off by a lost datagram costs a trip upstairs and never a fen.

use crate::entry::Words;

/// Words of a pot.
pub const POT_WORDS: usize = 8;
const OFFERED: usize = 0;
const TAKEN: usize = 1;
const SETTLED: usize = 2;
const CAMPAIGN: usize = 3;
const SHAKEN: usize = 4;

/// A pot, wherever its words lie.
#[derive(Clone, Copy)]
pub struct Pot<W>(pub W);

impl<W: Words> Pot<W> {
    /// Claims a prize; `false` when there is none, or others were faster.
    #[inline(always)]
    pub fn claim(&self) -> bool {
        for _ in 0..4 {
            let taken = self.taken();
            if (self.0.load(OFFERED).wrapping_sub(taken) as i64) <= 0 {
                return false;
            }
            if self.0.swap(TAKEN, taken, taken.wrapping_add(1)) {
                return true;
            }
        }
        false
    }

    /// Claims so far.
    #[inline(always)]
    pub fn taken(&self) -> u64 {
        self.0.load(TAKEN)
    }

    /// Claims settled so far, by a prize, by its return, or as lost.
    #[inline(always)]
    pub fn settled(&self) -> u64 {
        self.0.load(SETTLED)
    }

    /// Says how many claims are settled and how many prizes wait. Only the worker may.
    pub fn offer(&self, settled: u64, waiting: u64) {
        self.0.store(SETTLED, settled);
        self.0.store(OFFERED, settled.wrapping_add(waiting));
    }

    /// The campaign of the prize that is next.
    #[inline(always)]
    pub fn campaign(&self) -> u32 {
        self.0.load(CAMPAIGN) as u32
    }

    /// Names it. Only the worker may.
    pub fn set_campaign(&self, campaign: u32) {
        self.0.store(CAMPAIGN, u64::from(campaign));
    }

    /// Second since 1970 of the newest shake.
    #[inline(always)]
    pub fn shaken_s(&self) -> u64 {
        self.0.load(SHAKEN)
    }

    /// Somebody shook.
    #[inline(always)]
    pub fn shake(&self, unix_s: u32) {
        // Read first: a line that is only read stays in every CPU's cache.
        if self.0.load(SHAKEN) != u64::from(unix_s) {
            self.0.store(SHAKEN, u64::from(unix_s));
        }
    }
}
