//! What one worker counted, readable by anyone at any time without a lock.
//!
//! Each counter has one writer, so an increment is a load and a store; readers may see counters of one instant apart by
//! what was in hand, and see them agree when traffic has stopped.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::moment::Moment;
use crate::clients::CLIENT_ROWS;
use crate::kind::{KINDS_MAX, Kind};
use crate::limits::SETS_MAX;
use crate::reason::{REASONS_MAX, Reason};
use crate::timeline::{self, BINS};

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

/// Shakes first seen, by the time they came: shows how even the load really arrived.
pub struct Timeline(Box<[AtomicU64]>);

impl Default for Timeline {
    fn default() -> Self {
        Self((0..BINS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Timeline {
    /// Counts one shake at `unix_us`; only the owning thread may call it.
    #[inline]
    pub fn count(&self, unix_us: u64) {
        let word = &self.0[timeline::bin_of(unix_us)];
        word.store(timeline::count_up(word.load(Relaxed), unix_us), Relaxed);
    }

    /// The bins in which something was counted: when each began, in microseconds since 1970, and how many.
    pub fn read(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().filter_map(|word| timeline::read(word.load(Relaxed)))
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
    /// The money of one moment: sums that belong together.
    pub moment: Moment,
    /// SETs whose sums were checked, in all.
    pub sums_checked: Counter,
    /// When and how evenly the shakes came.
    pub timeline: Timeline,
    /// By client address.
    pub clients: ClientRows,
    /// Sessions open, by SET; those of other workers' SETs stay zero.
    pub set_sessions: SetCounters,
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

/// Rows by client, as [`clients`](crate::clients) numbers the addresses.
pub struct ClientRows(Box<[ClientRow]>);

impl Default for ClientRows {
    fn default() -> Self {
        Self((0..CLIENT_ROWS).map(|_| ClientRow::default()).collect())
    }
}

impl core::ops::Index<u16> for ClientRows {
    type Output = ClientRow;
    #[inline(always)]
    fn index(&self, row: u16) -> &ClientRow {
        &self.0[usize::from(row)]
    }
}

/// Counters by SET, of all that a server may have.
pub struct SetCounters(Box<[Counter]>);

impl Default for SetCounters {
    fn default() -> Self {
        Self((0..SETS_MAX).map(|_| Counter::default()).collect())
    }
}

impl core::ops::Index<u16> for SetCounters {
    type Output = Counter;
    #[inline(always)]
    fn index(&self, set: u16) -> &Counter {
        &self.0[usize::from(set)]
    }
}

/// What the bank counted; written by the bank alone.
#[derive(Default)]
pub struct BankBooks {
    /// Money issued, less what came back for good.
    pub issued_fen: Counter,
    /// Budgets not yet released.
    pub campaign_fen: Counter,
    /// Money sent to SETs, in all.
    pub transit_out_fen: Counter,
    /// Money come from SETs, in all.
    pub transit_in_fen: Counter,
    /// Prizes released, each counted once however often it is moved.
    pub released: Sum,
    /// Of them those that nobody had won when their campaign ended.
    pub withdrawn: Sum,
    /// Deposits booked.
    pub deposits: Sum,
    /// Deposits that a full SET sent back.
    pub deposits_back: Sum,
    /// Withdrawals paid by users.
    pub reclaimed: Sum,
    /// Withdrawals that a user's balance did not cover.
    pub uncovered: Counter,
    /// The running campaign's number; 0: none.
    pub campaign: Counter,
    /// Drawn at the start of the server: who finds another number knows that what is counted began anew.
    pub start: Counter,
}
