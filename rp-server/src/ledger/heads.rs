//! The last sequence of each SET: what comes next is known, and a gap is seen before it is written.

use std::fmt;

use rp_core::limits::SETS_MAX;
use rp_core::posting::{self, BANK};

/// The last sequence of each SET, zero where it has none.
#[derive(Clone, PartialEq, Eq)]
pub struct Heads {
    /// By SET; the bank's behind them.
    last: Vec<u64>,
}

/// A posting that does not follow its SET's last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The SET.
    pub set: u16,
    /// The sequence that follows; 0 where there is no such SET.
    pub expected: u64,
    /// The posting's.
    pub found: u64,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expected {
            0 => write!(f, "there is no SET {}", self.set),
            expected => write!(f, "posting {} of SET {} where {expected} follows", self.found, self.set),
        }
    }
}

impl std::error::Error for Gap {}

impl Default for Heads {
    fn default() -> Self {
        Heads { last: vec![0; SETS_MAX + 1] }
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Heads {
    /// Bytes of one SET's in [`Heads::bytes`].
    const ROW: usize = 10;

    /// The last sequence of this SET.
    pub fn of(&self, set: u16) -> u64 {
        place(set).map_or(0, |place| self.last[place])
    }

    /// Is this posting in the ledger? It tells what became of an unknown outcome.
    pub fn hold(&self, set: u16, sequence: u64) -> bool {
        sequence <= self.of(set)
    }

    /// SETs that have postings, and the last sequence of each.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        let set_at = |place| if place == SETS_MAX { BANK } else { place as u16 };
        let used = self.last.iter().enumerate().filter(|(_, last)| **last != 0);
        used.map(move |(place, last)| (set_at(place), *last))
    }

    /// Takes the postings of a group; returns how many.
    ///
    /// # Errors
    /// The first that does not follow; then none is taken.
    pub fn advance(&mut self, group: &[u8]) -> Result<usize, Gap> {
        let mut taken = 0;
        for posting in posting::each(group) {
            if let Err(gap) = self.follow(posting.set, posting.sequence) {
                posting::each(group).take(taken).for_each(|posting| self.step_back(posting.set));
                return Err(gap);
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// Gives back a group that was taken last.
    pub fn retreat(&mut self, group: &[u8]) {
        posting::each(group).for_each(|posting| self.step_back(posting.set));
    }

    /// Takes one posting.
    ///
    /// # Errors
    /// It does not follow.
    pub fn follow(&mut self, set: u16, sequence: u64) -> Result<(), Gap> {
        let place = place(set).ok_or(Gap { set, expected: 0, found: sequence })?;
        let expected = self.last[place] + 1;
        if sequence != expected {
            return Err(Gap { set, expected, found: sequence });
        }
        self.last[place] = sequence;
        Ok(())
    }

    /// Says where a SET is, as something else proves.
    ///
    /// # Errors
    /// There is no such SET.
    pub fn put(&mut self, set: u16, sequence: u64) -> Result<(), Gap> {
        let place = place(set).ok_or(Gap { set, expected: 0, found: sequence })?;
        self.last[place] = sequence;
        Ok(())
    }

    /// All of it, to be kept.
    pub fn bytes(&self) -> Vec<u8> {
        let row = |(set, last): (u16, u64)| [&set.to_le_bytes()[..], &last.to_le_bytes()].concat();
        self.iter().flat_map(row).collect()
    }

    /// What was kept; `None` when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Heads> {
        let mut heads = Heads::default();
        for row in bytes.chunks(Heads::ROW) {
            let (set, last) = (row.first_chunk()?, row.get(2..)?.try_into().ok()?);
            heads.put(u16::from_le_bytes(*set), u64::from_le_bytes(last)).ok()?;
        }
        Some(heads)
    }

    fn step_back(&mut self, set: u16) {
        if let Some(place) = place(set) {
            self.last[place] -= 1;
        }
    }
}

/// Where a SET's is.
fn place(set: u16) -> Option<usize> {
    if set == BANK {
        return Some(SETS_MAX);
    }
    (usize::from(set) < SETS_MAX).then_some(usize::from(set))
}
