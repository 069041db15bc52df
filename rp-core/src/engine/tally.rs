//! What one SET did in its life, for the published sums; counted beside the worker's books, and kept by projections.

use super::books::{Books, Sum};
use super::set::Set;
use crate::wire::PacketState;

/// How many, and how much.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Count {
    /// How many.
    pub count: u64,
    /// Fen.
    pub fen: u64,
}

/// The counts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Packets made.
    pub made: Count,
    /// Shares taken.
    pub taken: Count,
    /// Packets refunded, and what was left of them.
    pub refunded: Count,
    /// Prizes won.
    pub prizes: Count,
}

impl Count {
    fn add(&mut self, sum: &Sum, fen: u64) {
        self.count += 1;
        self.fen = self.fen.wrapping_add(fen);
        sum.add(fen);
    }
}

impl Set {
    /// A packet was made.
    pub(super) fn count_made(&mut self, fen: u64, books: &Books) {
        self.tally.made.add(&books.made, fen);
        books.open.add(fen);
    }

    /// A share of a packet was taken.
    pub(super) fn count_taken(&mut self, packet: u64, fen: u64, books: &Books) {
        self.tally.taken.add(&books.taken, fen);
        books.open.fen.sub(fen);
        let is_finished = self.packets.find(packet).is_some_and(|packet| packet.state != PacketState::Open);
        books.open.count.sub(u64::from(is_finished));
    }

    /// What was left of a packet went back.
    pub(super) fn count_refunded(&mut self, fen: u64, books: &Books) {
        self.tally.refunded.add(&books.refunded, fen);
        books.open.sub(fen);
    }

    /// A prize was won.
    pub(super) fn count_won(&mut self, about: u64, fen: u64, books: &Books) {
        self.tally.prizes.add(&books.prizes, fen);
        self.winnings.add(about, fen);
    }

    /// Enters a life that was counted before into the books.
    pub(super) fn resume(&mut self, tally: Tally, open: Count, books: &Books) {
        self.tally = tally;
        let Tally { made, taken, refunded, prizes } = tally;
        let rows = [(&books.made, made), (&books.taken, taken), (&books.refunded, refunded), (&books.prizes, prizes)];
        for (sum, count) in rows.into_iter().chain([(&books.open, open)]) {
            sum.count.add(count.count);
            sum.fen.add(count.fen);
        }
    }
}
