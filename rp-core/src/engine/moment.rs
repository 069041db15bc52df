//! The money of one worker at one moment: sums that belong together, read without a lock while the worker goes on.
//!
//! Counters that are read one after another may be of two moments, and then seem to be off by what moved in between. The
//! worker copies them here between two events, when its own part balances by itself; a reader who meets the copying sees
//! that the number of the turn has changed, and looks again (a sequence lock with one writer).

use core::array;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, fence};

/// How many sums there are.
const SUMS: usize = 15;

/// The sums, in fen but for the counts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Sums {
    /// Money of the users.
    pub users_fen: u64,
    /// Money in open packets, as the accounts say.
    pub packets_fen: u64,
    /// Money of prizes that wait.
    pub campaign_fen: u64,
    /// Money sent to other SETs and the bank, in all.
    pub transit_out_fen: u64,
    /// Money come from other SETs and the bank, in all.
    pub transit_in_fen: u64,
    /// Packets made: count and fen.
    pub made: [u64; 2],
    /// Shares taken.
    pub taken: [u64; 2],
    /// Packets that came back, and what was left of them.
    pub refunded: [u64; 2],
    /// Packets open, and what is left in them.
    pub open: [u64; 2],
    /// Prizes won.
    pub prizes: [u64; 2],
}

impl Sums {
    fn words(&self) -> [u64; SUMS] {
        let [a, b, c] = [self.users_fen, self.packets_fen, self.campaign_fen];
        let ([d, e], [f, g]) = ([self.transit_out_fen, self.transit_in_fen], self.made);
        let ([h, i], [j, k], [l, m], [n, o]) = (self.taken, self.refunded, self.open, self.prizes);
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]
    }

    fn of([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]: [u64; SUMS]) -> Self {
        let (users_fen, packets_fen, campaign_fen, transit_out_fen, transit_in_fen) = (a, b, c, d, e);
        let (made, taken, refunded, open, prizes) = ([f, g], [h, i], [j, k], [l, m], [n, o]);
        Self {
            users_fen,
            packets_fen,
            campaign_fen,
            transit_out_fen,
            transit_in_fen,
            made,
            taken,
            refunded,
            open,
            prizes,
        }
    }

    /// Both together, modulo 2^64 as counters are.
    pub fn plus(&self, other: &Sums) -> Sums {
        let (ours, theirs) = (self.words(), other.words());
        Self::of(array::from_fn(|at| ours[at].wrapping_add(theirs[at])))
    }
}

/// Where they are left.
#[derive(Default)]
pub struct Moment {
    /// Odd while the worker writes.
    turn: AtomicU64,
    words: [AtomicU64; SUMS],
}

impl Moment {
    /// Leaves them; only the owning thread may call it.
    pub fn leave(&self, sums: &Sums) {
        let turn = self.turn.load(Relaxed);
        self.turn.store(turn.wrapping_add(1), Relaxed);
        // Whoever sees one of the words also sees that the turn was odd.
        fence(Release);
        for (word, sum) in self.words.iter().zip(sums.words()) {
            word.store(sum, Relaxed);
        }
        self.turn.store(turn.wrapping_add(2), Release);
    }

    /// What was left last; none when the worker is just leaving others.
    pub fn read(&self) -> Option<Sums> {
        let turn = self.turn.load(Acquire);
        let words = array::from_fn(|at| self.words[at].load(Relaxed));
        fence(Acquire);
        (turn.is_multiple_of(2) && self.turn.load(Relaxed) == turn).then(|| Sums::of(words))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn all(n: u64) -> Sums {
        Sums::of([n; SUMS])
    }

    #[test]
    fn sums_are_left_in_their_places() {
        let sums = Sums::of(array::from_fn(|at| at as u64));
        let moment = Moment::default();
        moment.leave(&sums);
        assert_eq!(moment.read(), Some(sums));
        assert_eq!((sums.users_fen, sums.made, sums.prizes), (0, [5, 6], [13, 14]));
        assert_eq!(sums.plus(&sums), Sums::of(array::from_fn(|at| 2 * at as u64)));
    }

    #[test]
    fn a_reader_never_sees_two_moments() {
        let (moment, over) = (Moment::default(), AtomicBool::new(false));
        let seen = std::thread::scope(|threads| {
            threads.spawn(|| {
                (1..=200_000).for_each(|n| moment.leave(&all(n)));
                over.store(true, Relaxed);
            });
            let mut seen = 0;
            while !over.load(Relaxed) {
                if let Some(sums) = moment.read() {
                    assert_eq!(sums, all(sums.users_fen), "sums of two moments");
                    seen += 1;
                }
            }
            seen
        });
        assert!(seen > 0 && moment.read() == Some(all(200_000)), "{seen} readings");
    }
}
