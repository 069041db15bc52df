//! What all SETs of a worker share: who may ask how fast, what is counted, and how answers leave.

use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_chacha::ChaCha12Rng;

use super::asks::Asks;
use super::board::Board;
use super::books::{BankBooks, Books};
use super::journal::{Address, Journal};
use super::notes::Outbox;
use super::{Asked, Config, Now, Outcome, Transmit};
use crate::bucket::{Rate, take_shared};
use crate::cookie::Baker;
use crate::kind::Kind;
use crate::rules::Limit;
use crate::ticket::Realm;
use crate::wire::{Origin, Peer};

/// What all SETs of a worker share.
pub struct Shared {
    pub(super) config: Config,
    pub(super) baker: Baker,
    pub(super) realms: Vec<Realm>,
    pub(super) rng: ChaCha12Rng,
    /// Notes to carry.
    pub(super) outbox: Outbox,
    /// Postings to keep, and what waits for them.
    pub(super) journal: Journal,
    /// What only the ledger can answer.
    pub(super) asks: Asks,
    pub(super) books: Arc<Books>,
    pub(super) all_books: Vec<Arc<Books>>,
    pub(super) bank: Arc<BankBooks>,
    pub(super) board: Arc<Board>,
    /// What the ledger's clock shows when the monotonic clock shows zero.
    pub(super) ledger_ms: i64,
    pub(super) hints_left: u32,
    /// Buckets of this worker's part: strangers, sessions.
    pub(super) buckets: [u64; 2],
}

impl Shared {
    /// How fast a session may ask.
    #[inline(always)]
    pub(super) fn session_rate(&self) -> Rate {
        self.board.rules().session()
    }

    /// Is there room for one more from somebody who has proven nothing? A gate has asked already.
    pub(super) fn admit_stranger(&mut self, now: Now) -> bool {
        self.config.is_gated || take(&mut self.buckets[0], self.board.rules().strangers(), now).is_ok()
    }

    /// Is there room for one more log-in from this part of the network? A gate has asked already.
    pub(super) fn admit_prefix(&self, from: &Origin, now: Now) -> bool {
        self.config.is_gated || self.board.admit_prefix(self.baker.prefix_bucket(from), now.mono_us * 1000)
    }

    /// Is there room for one more from a session? A gate has asked already for shakes and pings.
    pub(super) fn admit_session(&mut self, kind: Kind, now: Now) -> Result<(), u32> {
        if self.config.is_gated && matches!(kind, Kind::Shake | Kind::Ping) {
            return Ok(());
        }
        take(&mut self.buckets[1], self.board.rules().sessions(), now)
    }

    #[inline]
    pub(super) fn count_received(&self, kind: Option<Kind>, client: u16) {
        let row = &self.books.clients[client];
        match kind {
            Some(kind) => self.books.received[kind].add(1),
            None => self.books.received.none().add(1),
        }
        row.received[kind.map_or(0, Kind::index)].add(1);
    }

    #[inline]
    pub(super) fn count_outcome(&self, outcome: Outcome, client: u16) {
        let row = &self.books.clients[client];
        match outcome {
            Outcome::Replied => self.books.replied.add(1),
            Outcome::Accepted => {
                self.books.accepted.add(1);
                row.accepted.add(1);
            }
            Outcome::Dropped(reason) => {
                self.books.dropped[reason].add(1);
                row.dropped.add(1);
            }
        }
    }

    /// Sends what was written to the buffer, and counts it.
    pub(super) fn send(&self, tx: &mut impl Transmit, len: usize, to: Peer, door: u16, client: u16) {
        let number = tx.buffer()[0] & 0x3f;
        let kind = Kind::of_number(number).expect("the engine writes only kinds that there are");
        self.books.sent[kind].add(1);
        self.books.clients[client].sent[kind.index() - 32].add(1);
        tx.commit(len, to, door);
    }

    /// Sends what speaks of money, once all that was written before is on disk.
    pub(super) fn send_durably(&mut self, tx: &mut impl Transmit, len: usize, to: Peer, door: u16, client: u16) {
        if self.journal.is_durable() {
            self.send(tx, len, to, door, client);
        } else {
            self.journal.hold(tx.buffer(), &Address { len, to, door, client });
        }
    }

    /// Answers the sender of a request with what speaks of money.
    pub(super) fn reply_durably(&mut self, asked: &Asked, tx: &mut impl Transmit, len: usize) -> Outcome {
        self.send_durably(tx, len, asked.from, asked.door, asked.client);
        Outcome::Replied
    }

    /// The ledger's time at a monotonic time.
    pub(super) fn ledger_ms(&self, mono_us: u64) -> u64 {
        ((mono_us / 1000) as i64 + self.ledger_ms).max(0) as u64
    }

    /// Answers the sender of a request.
    pub(super) fn reply(&self, asked: &Asked, tx: &mut impl Transmit, len: usize) -> Outcome {
        self.send(tx, len, asked.from, asked.door, asked.client);
        Outcome::Replied
    }
}

/// Takes one datagram's share of what many share.
///
/// # Errors
/// Milliseconds until there is one.
fn take(full_at_ns: &mut u64, limit: Limit, now: Now) -> Result<(), u32> {
    if limit.interval_ns > 0 {
        let taken = take_shared(*full_at_ns, limit.interval_ns, limit.burst_ns, now.mono_us * 1000);
        *full_at_ns = taken.map_err(|wait_ns| (wait_ns / 1_000_000) as u32)?;
    }
    Ok(())
}
