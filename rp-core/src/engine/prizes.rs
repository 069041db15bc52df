//! The prizes that wait in one SET, first released first won.
//!
//! A prize that nobody takes for a second goes back to the bank, which gives it to a SET where people shake.

use alloc::collections::VecDeque;

use super::notes::PrizeNote;
use crate::limits::PRIZES_PER_SET_MAX;

/// Microseconds after which an untaken prize goes back.
const UNTAKEN_US: u64 = 1_000_000;

/// The queue.
#[derive(Default)]
pub struct Prizes {
    queue: VecDeque<(PrizeNote, u64)>,
}

impl Prizes {
    /// Queues a prize; `false` when the SET holds too many.
    pub fn push(&mut self, prize: PrizeNote, now_us: u64) -> bool {
        if self.queue.len() >= PRIZES_PER_SET_MAX {
            return false;
        }
        self.queue.push_back((prize, now_us));
        true
    }

    /// The prize that the next shake may win.
    #[inline(always)]
    pub fn first(&self) -> Option<&PrizeNote> {
        self.queue.front().map(|(prize, _)| prize)
    }

    /// Takes the first prize.
    pub fn take(&mut self) -> Option<PrizeNote> {
        self.queue.pop_front().map(|(prize, _)| prize)
    }

    /// Takes the first prize if nobody took it for a second.
    pub fn take_untaken(&mut self, now_us: u64) -> Option<PrizeNote> {
        let (_, released_us) = self.queue.front()?;
        if now_us < released_us + UNTAKEN_US { None } else { self.take() }
    }

    /// Prizes that wait, and their money in fen.
    pub fn total_fen(&self) -> u64 {
        self.queue.iter().map(|(prize, _)| prize.fen).sum()
    }
}
