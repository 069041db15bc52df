//! What one worker counted, readable by anyone at any time without a lock.
//!
//! Each counter has one writer, so an increment is a load and a store; readers may see counters of one instant apart by
//! what was in hand, and see them agree when traffic has stopped.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::kind::{KINDS_MAX, Kind};
use crate::limits::{CLIENTS_MAX, SETS_MAX};
use crate::reason::{REASONS_MAX, Reason};

/// A counter with a single writer.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning thread may call it.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes away; only the owning thread may call it.
    #[inline(always)]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Replaces; only the owning thread may call it.
    #[inline(always)]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Reads.
    #[inline(always)]
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number of things and their money.
#[derive(Default)]
pub struct Sum {
    /// How many.
    pub count: Counter,
    /// Their money.
    pub fen: Counter,
}

impl Sum {
    /// One more, worth `fen`.
    pub fn add(&self, fen: u64) {
        self.count.add(1);
        self.fen.add(fen);
    }

    /// One less, worth `fen`.
    pub fn sub(&self, fen: u64) {
        self.count.sub(1);
        self.fen.sub(fen);
    }
}

/// What one client address sent, was sent, won, paid and took.
pub struct ClientRow {
    ip: [AtomicU64; 2],
    /// Requests received, by kind number (0: not one of our requests).
    pub received: [Counter; 32],
    /// Replies and notices sent, by kind number less 32.
    pub sent: [Counter; 32],
    /// Of the received: dropped with a reason.
    pub dropped: Counter,
    /// Of the received: accepted, no reply due at once.
    pub accepted: Counter,
    /// Prizes won.
    pub prizes: Sum,
    /// Packets sent.
    pub packets: Sum,
    /// Shares taken.
    pub shares: Sum,
    /// Sessions open.
    pub sessions: Counter,
}

impl Default for ClientRow {
    fn default() -> Self {
        Self {
            ip: Default::default(),
            received: core::array::from_fn(|_| Counter::default()),
            sent: core::array::from_fn(|_| Counter::default()),
            dropped: Counter::default(),
            accepted: Counter::default(),
            prizes: Sum::default(),
            packets: Sum::default(),
            shares: Sum::default(),
            sessions: Counter::default(),
        }
    }
}

impl ClientRow {
    /// The address, zero in the row that further clients share.
    pub fn ip(&self) -> [u8; 16] {
        let mut ip = [0; 16];
        ip[..8].copy_from_slice(&self.ip[0].load(Relaxed).to_le_bytes());
        ip[8..].copy_from_slice(&self.ip[1].load(Relaxed).to_le_bytes());
        ip
    }
}

/// Seconds that the timeline remembers.
pub const TIMELINE_SECONDS: usize = 1024;
/// Bins of a second in the timeline: 20 ms each.
pub const TIMELINE_BINS: usize = 50;

/// Shakes first seen, by second and 20 ms: shows how even the load really arrived.
pub struct Timeline {
    seconds: Vec<(AtomicU64, [AtomicU32; TIMELINE_BINS])>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            seconds: (0..TIMELINE_SECONDS)
                .map(|_| (AtomicU64::new(0), core::array::from_fn(|_| AtomicU32::new(0))))
                .collect(),
        }
    }
}

impl Timeline {
    /// Counts one shake at `unix_us`; only the owning thread may call it.
    #[inline]
    pub fn count(&self, unix_us: u64) {
        let second = unix_us / 1_000_000;
        let bin = (unix_us % 1_000_000) as usize / (1_000_000 / TIMELINE_BINS);
        let (stamp, bins) = &self.seconds[second as usize % TIMELINE_SECONDS];
        if stamp.load(Relaxed) != second {
            bins.iter().for_each(|b| b.store(0, Relaxed));
            stamp.store(second, Relaxed);
        }
        bins[bin].store(bins[bin].load(Relaxed) + 1, Relaxed);
    }

    /// The seconds in which something was counted, oldest first.
    pub fn read(&self) -> Vec<(u64, [u32; TIMELINE_BINS])> {
        let mut seconds: Vec<_> = self
            .seconds
            .iter()
            .map(|(stamp, bins)| (stamp.load(Relaxed), core::array::from_fn(|i| bins[i].load(Relaxed))))
            .filter(|(second, _)| *second != 0)
            .collect();
        seconds.sort_unstable_by_key(|(second, _)| *second);
        seconds
    }
}

/// Everything one worker counted.
#[derive(Default)]
pub struct Books {
    /// Requests received, by kind number; row 0: not one of our requests.
    pub received: KindCounters,
    /// Replies and notices sent, by kind number.
    pub sent: KindCounters,
    /// Requests dropped, by reason.
    pub dropped: ReasonCounters,
    /// Requests that got their reply at once.
    pub replied: Counter,
    /// Requests accepted without a reply due at once: acknowledgements, repeats of what is pending, what waits for a note.
    pub accepted: Counter,
    /// Sessions open.
    pub sessions: Counter,
    /// Sessions opened in all.
    pub logins: Counter,
    /// Sessions closed in all.
    pub logouts: Counter,
    /// Of the closed: idle too long.
    pub idle_outs: Counter,
    /// Accounts held.
    pub accounts: Counter,
    /// Notices that found the user's list, or the SET's blocks, full.
    pub notices_refused: Counter,
    /// Prizes won.
    pub prizes: Sum,
    /// Prizes given back untaken.
    pub prizes_back: Sum,
    /// Packets made.
    pub made: Sum,
    /// Shares taken.
    pub taken: Sum,
    /// Packets that came back, and what was left of them.
    pub refunded: Sum,
    /// Packets open, and what is left in them.
    pub open: Sum,
    /// Money of the users.
    pub users_fen: Counter,
    /// Money of prizes that wait.
    pub campaign_fen: Counter,
    /// Money sent to other SETs and the bank, in all.
    pub transit_out_fen: Counter,
    /// Money come from other SETs and the bank, in all.
    pub transit_in_fen: Counter,
    /// SETs whose sums were checked, in all.
    pub sums_checked: Counter,
    /// When and how evenly the shakes came.
    pub timeline: Timeline,
    /// By client address.
    pub clients: Clients,
    /// Second since 1970 of the newest shake, by SET.
    shaken_s: ShakenSeconds,
}

impl Books {
    /// Second since 1970 of the newest shake of a SET.
    #[inline(always)]
    pub fn shaken_s(&self, set: usize) -> &Counter {
        &self.shaken_s.0[set]
    }
}

struct ShakenSeconds(Box<[Counter]>);
impl Default for ShakenSeconds {
    fn default() -> Self {
        Self((0..SETS_MAX).map(|_| Counter::default()).collect())
    }
}

/// Counters by kind.
pub struct KindCounters([Counter; KINDS_MAX]);
impl Default for KindCounters {
    fn default() -> Self {
        Self(core::array::from_fn(|_| Counter::default()))
    }
}
impl KindCounters {
    /// The counter of what is no kind at all.
    pub fn none(&self) -> &Counter {
        &self.0[0]
    }
    /// Sum over all rows.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::read).sum()
    }
}
impl core::ops::Index<Kind> for KindCounters {
    type Output = Counter;
    #[inline(always)]
    fn index(&self, kind: Kind) -> &Counter {
        &self.0[kind.index()]
    }
}

/// Counters by reason.
pub struct ReasonCounters([Counter; REASONS_MAX]);
impl Default for ReasonCounters {
    fn default() -> Self {
        Self(core::array::from_fn(|_| Counter::default()))
    }
}
impl ReasonCounters {
    /// Sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::read).sum()
    }
}
impl core::ops::Index<Reason> for ReasonCounters {
    type Output = Counter;
    #[inline(always)]
    fn index(&self, reason: Reason) -> &Counter {
        &self.0[reason.index()]
    }
}

/// Rows by client address: open addressing over a fixed table, never more than half full; later addresses share a row.
pub struct Clients {
    rows: Box<[ClientRow]>,
    used: Counter,
}

/// The row that clients beyond [`CLIENTS_MAX`] share.
const SHARED_ROW: usize = 2 * CLIENTS_MAX;

impl Default for Clients {
    fn default() -> Self {
        Self { rows: (0..=SHARED_ROW).map(|_| ClientRow::default()).collect(), used: Counter::default() }
    }
}

impl Clients {
    /// The index of an address's row, taken if it is new; only the owning thread may call it.
    #[inline]
    pub fn find_or_take(&self, ip: &[u8; 16]) -> usize {
        let words = words_of(ip);
        match self.probe(words) {
            Ok(found) => found,
            Err(_) if self.used.read() as usize >= CLIENTS_MAX => SHARED_ROW,
            Err(free) => {
                self.rows[free].ip[0].store(words[0], Relaxed);
                self.rows[free].ip[1].store(words[1], Relaxed);
                self.used.add(1);
                free
            }
        }
    }

    /// The row of an address, if it has one of its own.
    pub fn find(&self, ip: &[u8; 16]) -> Option<&ClientRow> {
        self.probe(words_of(ip)).ok().map(|i| &self.rows[i])
    }

    /// A row by the index that [`Self::find_or_take`] gave.
    #[inline(always)]
    pub fn row(&self, index: usize) -> &ClientRow {
        &self.rows[index]
    }

    /// The rows in use; the shared one last, if it was used.
    pub fn rows(&self) -> impl Iterator<Item = &ClientRow> {
        self.rows
            .iter()
            .filter(|row| row.ip() != [0; 16] || row.received.iter().any(|c| c.read() != 0) || row.sessions.read() != 0)
    }

    #[inline]
    fn probe(&self, words: [u64; 2]) -> Result<usize, usize> {
        let hash = (words[0] ^ words[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = (hash >> 32) as usize % SHARED_ROW;
        loop {
            let row = &self.rows[at];
            let seen = [row.ip[0].load(Relaxed), row.ip[1].load(Relaxed)];
            if seen == words {
                return Ok(at);
            }
            if seen == [0, 0] {
                return Err(at);
            }
            at = (at + 1) % SHARED_ROW;
        }
    }
}

fn words_of(ip: &[u8; 16]) -> [u64; 2] {
    let (low, high) = ip.split_at(8);
    [low, high].map(|half| half.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}
