//! From the ledger to workers and a bank that are as they were: projections first, then every posting since, then the notes
//! that nobody has seen. Every sum is checked before anything is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rp_core::engine::bank::{Bank, Winnings};
use rp_core::engine::board::Board;
use rp_core::engine::notes::Note;
use rp_core::engine::{Now, Shard, Transmit};
use rp_core::limits::DATAGRAM_MAX;
use rp_core::posting::{BANK, Posting};
use rp_core::steer::worker_of;
use rp_core::wire::Peer;
use tracing::info;

use crate::ledger::{Mark, Projection, Restore, Time};

/// A line of progress so often.
const PROGRESS: Duration = Duration::from_secs(5);

/// Workers' SETs and the bank, while the ledger is read.
pub struct Recovery<'a> {
    /// By worker.
    pub shards: &'a mut [Shard],
    /// The bank.
    pub bank: &'a mut Bank,
    /// The time.
    pub now: Now,
    /// SETs.
    pub sets: u32,
    /// What was read.
    pub read: Read,
    begun: Instant,
    told: Instant,
}

/// How much was read.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Read {
    /// Projections.
    pub projections: u64,
    /// Postings that none of them holds.
    pub postings: u64,
}

impl<'a> Recovery<'a> {
    /// Of these shards and this bank, which are as new.
    pub fn new(shards: &'a mut [Shard], bank: &'a mut Bank, sets: u32, now: Now) -> Recovery<'a> {
        let begun = Instant::now();
        Recovery { shards, bank, now, sets, read: Read::default(), begun, told: begun }
    }

    fn shard(&mut self, set: u16) -> Result<&mut Shard> {
        let worker = worker_of(set.into(), self.shards.len() as u32) as usize;
        if u32::from(set) >= self.sets {
            return Err(anyhow!("SET {set} is in the ledger, and the server has {}: give --sets as before", self.sets));
        }
        Ok(&mut self.shards[worker])
    }

    /// Everything was read: what nobody has seen goes out again, and every sum is checked.
    ///
    /// # Errors
    /// The sums are not what the postings say.
    pub fn complete(&mut self) -> Result<Read> {
        let sets = self.sets as u16;
        let seen = |to: u16, from: u16| {
            let worker = worker_of(to.into(), self.shards.len() as u32) as usize;
            self.shards[worker].seen_of(to, from).unwrap_or(0)
        };
        let by_sets: Vec<Vec<u64>> = (0..sets).map(|from| (0..sets).map(|to| seen(to, from)).collect()).collect();
        let of_bank: Vec<u64> = (0..sets).map(|to| seen(to, BANK)).collect();
        let winnings: Vec<Winnings> = self.shards.iter().flat_map(Shard::winnings).collect();
        self.bank
            .restored(|to| of_bank[usize::from(to)], winnings.into_iter(), self.now)
            .map_err(|why| anyhow!("the ledger's sums are wrong: {why}; run `rp-server audit` on it"))?;
        let bank = &*self.bank;
        let seen = |to: u16, from: u16| match to {
            BANK => bank.seen_of(from),
            to => by_sets[usize::from(from)][usize::from(to)],
        };
        self.shards.iter_mut().for_each(|shard| shard.restored(seen));
        self.land();
        Ok(self.read)
    }

    /// Hands over the notes that the last run left on their way, before anyone can ask anything: a user's request that was
    /// decided elsewhere has its answer when he comes back, and its number is taken.
    fn land(&mut self) {
        let workers = self.shards.len() as u32;
        let mut notes: Vec<Note> = Vec::new();
        for shard in &mut *self.shards {
            notes.extend(std::iter::from_fn(|| shard.pop_note()));
        }
        notes.extend(std::iter::from_fn(|| self.bank.pop_note()));
        for note in notes {
            match note.to {
                BANK => self.bank.receive(note, self.now),
                set => {
                    self.shards[worker_of(set.into(), workers) as usize].note(self.now, note, &mut Nowhere::default())
                }
            }
        }
    }
}

/// Where replies go while there is nobody to get any.
struct Nowhere([u8; DATAGRAM_MAX]);

impl Default for Nowhere {
    fn default() -> Self {
        Nowhere([0; DATAGRAM_MAX])
    }
}

impl Transmit for Nowhere {
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.0
    }

    fn commit(&mut self, _: usize, _: Peer, _: u16) {
        unreachable!("nobody has a session yet");
    }
}

impl Restore for Recovery<'_> {
    fn projection(&mut self, projection: &Projection) -> Result<()> {
        self.read.projections += 1;
        let Projection { set, sequence, bytes, .. } = projection;
        let taken = match *set {
            BANK => self.bank.unfold(*sequence, bytes, self.now),
            set => {
                let now = self.now;
                self.shard(set)?.unfold(set, *sequence, bytes, now)
            }
        };
        taken.map_err(|why| anyhow!("{why}"))
    }

    fn posting(&mut self, position: u64, posting: &Posting<'_>) -> Result<()> {
        self.read.postings += 1;
        let now = self.now;
        let restored = match posting.set {
            BANK => self.bank.restore(posting, now),
            set => self.shard(set)?.restore(posting, now),
        };
        restored.map_err(|why| {
            let Posting { set, sequence, act, .. } = posting;
            anyhow!("posting {position}, number {sequence} of SET {set}, {}: {why}", act.name())
        })?;
        if self.read.postings.is_multiple_of(65_536) && self.told.elapsed() > PROGRESS {
            self.told = Instant::now();
            info!(
                about = "ledger",
                postings = self.read.postings,
                "{} postings read in {:.0} s ...",
                self.read.postings,
                self.begun.elapsed().as_secs_f64()
            );
        }
        Ok(())
    }
}

/// What the ledger's clock shows, in milliseconds, when the monotonic clock shows zero.
///
/// It went on while the server was down: by the machine's own clock if that ran on, else by the wall clock, and never back.
/// A ledger without a mark begins at the wall clock.
pub fn clock_ms(mark: &Mark, here: &Time, now: Now) -> i64 {
    let then = &mark.time;
    let ledger_ms = if *mark == Mark::default() {
        now.unix_ms()
    } else if then.boot == here.boot {
        then.ledger_ms + here.boot_ms.saturating_sub(then.boot_ms)
    } else {
        then.ledger_ms + here.unix_ms.saturating_sub(then.unix_ms)
    };
    ledger_ms as i64 - (now.mono_us / 1000) as i64
}

/// Puts workers and bank on the board that they serve from.
pub fn place(shards: &mut [Shard], bank: &mut Bank, board: &Arc<Board>, is_gated: bool) {
    shards.iter_mut().for_each(|shard| shard.place_on(board, is_gated));
    bank.place_on(board);
}
