//! The prizes that wait in one SET, first released first won, and the claims on them.
//!
//! A shake claims first (`answer.rs`, in the gate or here), and the claim is settled here: by a prize, or back to the pot.
//! A claim whose datagram was lost is written off. A prize that nobody takes for a second goes back to the bank, which
//! gives it to a SET where people shake.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::board::{Board, Line};
use super::notes::PrizeNote;
use crate::limits::PRIZES_PER_SET_MAX;
use crate::pot::Pot;

/// Microseconds after which an untaken prize goes back.
const UNTAKEN_US: u64 = 1_000_000;
/// Claims that were never settled in so long are lost: the datagrams that carried them are.
const LOST_US: u64 = 2_000_000;

/// The queue.
pub struct Prizes {
    board: Arc<Board>,
    set: usize,
    queue: VecDeque<(PrizeNote, u64)>,
    settled: u64,
    /// Fewest claims on the way since `watched_us`: those that are always there are not on the way, but lost.
    least_out: i64,
    watched_us: u64,
}

impl Prizes {
    /// None, in a SET of the board.
    pub fn new(board: Arc<Board>, set: usize) -> Self {
        Self { board, set, queue: VecDeque::new(), settled: 0, least_out: i64::MAX, watched_us: 0 }
    }

    /// The gate sees them on this board.
    pub fn place_on(&mut self, board: &Arc<Board>) {
        self.board = board.clone();
    }

    /// What the gate sees of them.
    #[inline(always)]
    pub fn pot(&self) -> Pot<&Line> {
        self.board.pot(self.set)
    }

    /// Queues a prize; `false` when the SET holds too many.
    pub fn push(&mut self, prize: PrizeNote, now_us: u64) -> bool {
        if self.queue.len() >= PRIZES_PER_SET_MAX {
            return false;
        }
        self.queue.push_back((prize, now_us));
        self.publish();
        true
    }

    /// The prize that the next claim is for.
    #[inline(always)]
    pub fn first(&self) -> Option<&PrizeNote> {
        self.queue.front().map(|(prize, _)| prize)
    }

    /// Takes the first prize.
    pub fn take(&mut self) -> Option<PrizeNote> {
        // A start asks for what is left before it has a board, and finds nothing.
        let (prize, _) = self.queue.pop_front()?;
        self.publish();
        Some(prize)
    }

    /// Takes the first prize if nobody took it for a second.
    pub fn take_untaken(&mut self, now_us: u64) -> Option<PrizeNote> {
        let (_, released_us) = self.queue.front()?;
        if now_us < released_us + UNTAKEN_US { None } else { self.take() }
    }

    /// A claim was decided: the prize was taken, or is there for the next shake.
    pub fn settle(&mut self) {
        self.settled = self.settled.wrapping_add(1);
        self.publish();
    }

    /// Writes off claims that are lost, so that their prizes can be claimed again.
    pub fn tick(&mut self, now_us: u64) {
        self.least_out = self.least_out.min(self.pot().taken().wrapping_sub(self.settled) as i64);
        if now_us < self.watched_us + LOST_US {
            return;
        }
        if self.watched_us > 0 && self.least_out != 0 {
            // Less than none are out when one that was written off came after all.
            self.settled = self.settled.wrapping_add_signed(self.least_out);
            self.publish();
        }
        (self.least_out, self.watched_us) = (i64::MAX, now_us);
    }

    fn publish(&self) {
        let pot = self.pot();
        pot.set_campaign(self.first().map_or(0, |prize| prize.campaign));
        pot.offer(self.settled, self.queue.len() as u64);
    }

    /// Prizes that wait, and their money in fen.
    pub fn total_fen(&self) -> u64 {
        self.queue.iter().map(|(prize, _)| prize.fen).sum()
    }
}
