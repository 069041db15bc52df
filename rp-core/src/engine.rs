//! The state machine of the SETs that one worker owns: sessions, accounts, packets and prizes.
//!
//! Sans I/O: datagrams, notes and the time come in; replies go to the caller's transmit slots and notes to the outbox.
//! The same engine runs in the worker, in the simulator and in the fuzzer. It never blocks, never asks the time, and
//! after start allocates only where a queue grows towards its limit.

mod abroad;
mod accounts;
pub mod asks;
pub mod bank;
pub mod blocks;
pub mod board;
pub mod books;
mod campaign;
mod counter;
mod detail;
pub mod journal;
mod ledger;
mod login;
pub mod moment;
mod money;
pub mod notes;
mod notices;
mod packets;
mod prizes;
mod projection;
mod requests;
mod restore;
mod retelling;
mod session;
mod set;
mod shake;
mod shared;
mod slots;
pub mod split;
mod tally;
mod telling;
mod totals;

use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

use crate::clients::Clients as _;
use crate::cookie::Baker;
use crate::key::Key;
use crate::kind::{Kind, request_of};
use crate::limits::{DATAGRAM_MAX, SLOT_BITS};
pub use crate::now::Now;
use crate::reason::Reason;
use crate::steer;
use crate::ticket::Realm;
use crate::wire::{Origin, Peer};
use asks::{Ask, Asks};
use board::Board;
use books::{BankBooks, Books};
use journal::{Address, Journal};
use notes::{Note, Outbox};
use set::Set;
use shared::Shared;

/// Where replies go: the caller's transmit slots.
pub trait Transmit {
    /// Room for one datagram. What it held before does not matter.
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX];
    /// The first `len` bytes of the buffer are a datagram for `to`, to leave by `door`.
    fn commit(&mut self, len: usize, to: Peer, door: u16);
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It got its reply, or gets it as soon as the ledger has what the reply speaks of.
    Replied,
    /// It was heard; no reply is due at once.
    Accepted,
    /// It was dropped.
    Dropped(Reason),
}

/// Where a request came from and when.
#[derive(Clone, Copy)]
pub struct Asked {
    /// When it is handled.
    pub now: Now,
    /// Who sent it.
    pub from: Peer,
    /// The address that it was sent to, as the worker numbers them.
    pub door: u16,
    /// Row of the sender's address in the books.
    client: u16,
}

/// What an engine is told at start.
#[derive(Clone, Copy, Default, Debug)]
pub struct Config {
    /// SETs of the server.
    pub sets: u32,
    /// Workers of the server.
    pub workers: u32,
    /// This worker.
    pub worker: u32,
    /// Microseconds without a datagram after which a session ends.
    pub idle_us: u64,
    /// Microseconds that a packet may be taken.
    pub packet_life_us: u64,
    /// A gate has asked the buckets already for the shakes and pings that come up.
    pub is_gated: bool,
    /// What bears money travels readable: for load tests only.
    pub is_unsealed: bool,
    /// The ledger can be read back: histories and forgotten packets are answered from it.
    pub keeps_postings: bool,
}

/// The SETs of one worker.
pub struct Shard {
    /// What they share.
    pub shared: Shared,
    sets: Vec<Set>,
    /// SETs that something happened in besides shakes: they are visited in the next round.
    stirred: Vec<bool>,
    visited: usize,
    visited_us: u64,
    round: usize,
}

/// Every stirred SET is visited once in this time: the grain of what is sent at once.
const ROUND_US: u64 = 20_000;
/// The others once in so many rounds, the grain of expiry and of repeated notices: a visit costs ten cache misses, and 256
/// SETs visited every round were a twentieth of a worker's time.
const QUIET_ROUNDS: usize = 5;
/// How long a client waits that finds the ledger's ring full.
const FULL_RETRY_MS: u32 = 200;
/// Hints *unknown session* per round: each is a reply to somebody who has proven nothing.
const HINTS_PER_ROUND: u32 = 400;

impl Shard {
    /// The SETs of worker `config.worker`; `all_books[config.worker]` are its own books.
    pub fn new(
        config: Config,
        baker: Baker,
        realms: Vec<Realm>,
        seed: [u8; 32],
        all_books: Vec<Arc<Books>>,
        bank: Arc<BankBooks>,
        board: &Arc<Board>,
    ) -> Self {
        let books = all_books[config.worker as usize].clone();
        let mut rng = ChaCha12Rng::from_seed(seed);
        let mut key = Key::default();
        rng.fill_bytes(&mut key);
        let sets = (config.worker..config.sets)
            .step_by(config.workers as usize)
            .map(|set| Set::new(set as u16, &config, key, board))
            .collect::<Vec<_>>();
        let shared = Shared {
            config,
            baker,
            realms,
            rng,
            outbox: Outbox::default(),
            journal: Journal::default(),
            asks: Asks::default(),
            books,
            all_books,
            bank,
            board: board.clone(),
            ledger_ms: 0,
            hints_left: HINTS_PER_ROUND,
            buckets: [0; 2],
        };
        let stirred = alloc::vec![false; sets.len()];
        Self { shared, sets, stirred, visited: 0, visited_us: 0, round: 0 }
    }

    /// Looks at the session of a datagram that will be received next, so that the look-ups of a batch overlap in memory.
    #[inline]
    pub fn touch(&self, datagram: &[u8]) -> u32 {
        let Some(head) = datagram.first_chunk::<{ steer::HEAD_LEN }>() else { return 0 };
        if head[0] & 0x3f <= Kind::Login as u8 {
            return 0;
        }
        let set = steer::set_of(*head, self.shared.config.sets);
        let session = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        match self.sets.get((set / self.shared.config.workers) as usize) {
            Some(owner) => owner.touch(session),
            None => 0,
        }
    }

    /// Handles one datagram; it is counted in exactly one place.
    pub fn receive(&mut self, now: Now, from: Peer, door: u16, datagram: &[u8], tx: &mut impl Transmit) -> Outcome {
        let origin = Origin::from(&from);
        let client = self.shared.board.clients().find(origin.ip);
        let asked = Asked { now, from, door, client };
        let asks = request_of(datagram.first().copied().unwrap_or(0), datagram.len());
        self.shared.count_received(asks.ok(), client);
        let outcome = match asks {
            // A gate looks at its own list before this.
            Ok(_) if self.shared.board.denies(&origin) => Outcome::Dropped(Reason::Denied),
            Err(_) if datagram.is_empty() => Outcome::Dropped(Reason::BadLength),
            Err(reason) => Outcome::Dropped(reason),
            Ok(kind) => self.dispatch(&asked, kind, datagram, tx),
        };
        self.shared.count_outcome(outcome, client);
        self.shared.journal.end_event();
        outcome
    }

    /// Counts a datagram that is dropped before anyone looks into it, as one received and dropped.
    pub fn refuse(&mut self, from: Peer, datagram: &[u8], reason: Reason) {
        let client = self.shared.board.clients().find(Origin::from(&from).ip);
        self.shared.count_received(request_of(datagram.first().copied().unwrap_or(0), datagram.len()).ok(), client);
        self.shared.count_outcome(Outcome::Dropped(reason), client);
    }

    fn dispatch(&mut self, asked: &Asked, kind: Kind, datagram: &[u8], tx: &mut impl Transmit) -> Outcome {
        let config = &self.shared.config;
        let head = datagram.first_chunk().expect("every request is longer than its head");
        let set = steer::set_of(*head, config.sets);
        if set >= config.sets {
            return Outcome::Dropped(Reason::NoSuchSlot);
        }
        if steer::worker_of(set, config.workers) != config.worker {
            return Outcome::Dropped(Reason::MisSteered);
        }
        let at = (set / config.workers) as usize;
        let outcome = self.sets[at].receive(asked, kind, datagram, &mut self.shared, tx);
        let stirs = !matches!(kind, Kind::Shake | Kind::Ping | Kind::Hello);
        self.stirred[at] |= stirs && !matches!(outcome, Outcome::Dropped(_));
        outcome
    }

    /// Is there room for what one event writes? Without it no note may be handled.
    pub fn has_room(&self) -> bool {
        self.shared.journal.has_room()
    }

    /// The journal, whose bytes the caller carries to the ledger.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.shared.journal
    }

    /// So many of the journal's postings are on disk: what waited for them leaves.
    pub fn durable_to(&mut self, count: u64, tx: &mut impl Transmit) {
        let shared = &mut self.shared;
        shared.journal.durable_to(count);
        while shared.journal.releases() {
            let Some(Address { len, to, door, client }) = shared.journal.release(tx.buffer()) else { return };
            shared.send(tx, len, to, door, client);
        }
    }

    /// Serves from this board on, before the first session: what is restored needs none.
    pub fn place_on(&mut self, board: &Arc<Board>, is_gated: bool) {
        self.shared.board = board.clone();
        self.shared.config.is_gated = is_gated;
        self.sets.iter_mut().for_each(|set| set.place_on(board));
    }

    /// Sets the ledger's clock: what it shows, in milliseconds, when the monotonic clock shows zero; below zero when the
    /// machine has been up for longer than the ledger's time. No packet expires by another clock.
    pub fn set_clock(&mut self, ledger_ms: i64) {
        self.shared.ledger_ms = ledger_ms;
    }

    /// The next note to carry.
    pub fn pop_note(&mut self) -> Option<Note> {
        self.shared.outbox.pop(&self.shared.journal)
    }

    /// Puts a note back that its ring had no room for.
    pub fn unpop_note(&mut self, note: Note) {
        self.shared.outbox.unpop(note);
    }

    /// Handles one note for a SET of this shard.
    pub fn note(&mut self, now: Now, note: Note, tx: &mut impl Transmit) {
        let config = &self.shared.config;
        assert_eq!(
            steer::worker_of(u32::from(note.to), config.workers),
            config.worker,
            "notes are carried to the worker that owns the SET"
        );
        let at = (u32::from(note.to) / config.workers) as usize;
        self.stirred[at] = true;
        self.sets[at].note(now, note, &mut self.shared, tx);
        self.shared.journal.end_event();
    }

    /// Is everything on disk that was written, everything said that waited for it, and every note and question answered?
    pub fn is_at_rest(&self) -> bool {
        let Shared { journal, outbox, asks, .. } = &self.shared;
        journal.is_durable() && journal.held() == 0 && outbox.is_at_rest() && asks.is_empty()
    }

    /// The next question that only the ledger can answer, and can: all that it depends on is on disk.
    pub fn pop_ask(&mut self) -> Option<Ask> {
        self.shared.asks.pop(&self.shared.journal)
    }

    /// Sends an answer from the ledger to the session that asked, by the door that it asked at; `false` when it has ended since, or
    /// is elsewhere: at that address there may be somebody else, and who still wants to know asks again.
    pub fn deliver(&mut self, answer: &[u8], session: u32, to: Peer, door: u16, tx: &mut impl Transmit) -> bool {
        // It may be another worker's, so it is looked at as the gate does.
        let entry = self.shared.board.entry(session as usize & ((1 << SLOT_BITS) - 1));
        if !entry.status().is_of(session) || !entry.is_at(&Origin::from(&to)) {
            return false;
        }
        tx.buffer()[..answer.len()].copy_from_slice(answer);
        let client = self.shared.board.clients().find(Origin::from(&to).ip);
        self.shared.send(tx, answer.len(), to, door, client);
        true
    }

    /// Does what time demands: idle sessions end, packets expire, notices go out again, untaken prizes go back.
    pub fn tick(&mut self, now: Now, tx: &mut impl Transmit) {
        // After a long sleep one round makes up for all that were missed.
        self.visited_us = self.visited_us.max(now.mono_us.saturating_sub(ROUND_US));
        let sets = self.sets.len() as u64;
        let due = sets * now.mono_us.saturating_sub(self.visited_us) / ROUND_US;
        self.visited_us += due * ROUND_US / sets;
        for _ in 0..due {
            let is_due = (self.round + self.visited).is_multiple_of(QUIET_ROUNDS);
            if core::mem::take(&mut self.stirred[self.visited]) || is_due {
                self.stirred[self.visited] = self.sets[self.visited].tick(now, &mut self.shared, tx);
                self.shared.journal.end_event();
            }
            self.visited += 1;
            if self.visited == self.sets.len() {
                self.visited = 0;
                self.round += 1;
                self.shared.hints_left = HINTS_PER_ROUND;
                self.publish();
            }
        }
    }

    /// Leaves the money of this moment where others read it; called between two events, and when the worker is gone.
    pub fn publish(&self) {
        let books = &self.shared.books;
        let total =
            |part: fn(&ledger::Sums) -> u64| self.sets.iter().map(|set| part(set.sums())).fold(0, u64::wrapping_add);
        let of = |sum: &books::Sum| [sum.count.read(), sum.fen.read()];
        let sums = moment::Sums {
            users_fen: total(|sums| sums.users),
            packets_fen: total(|sums| sums.packets),
            campaign_fen: total(|sums| sums.campaign),
            transit_out_fen: total(|sums| sums.transit_out),
            transit_in_fen: total(|sums| sums.transit_in),
            made: of(&books.made),
            taken: of(&books.taken),
            refunded: of(&books.refunded),
            open: of(&books.open),
            prizes: of(&books.prizes),
        };
        books.users_fen.set(sums.users_fen);
        books.campaign_fen.set(sums.campaign_fen);
        books.transit_out_fen.set(sums.transit_out_fen);
        books.transit_in_fen.set(sums.transit_in_fen);
        books.moment.leave(&sums);
    }

    /// Recounts every account, packet and prize of every SET.
    ///
    /// # Panics
    /// When a fen is missing or too many: that is a fault of ours, and nothing may be answered after it.
    pub fn audit(&self) {
        self.sets.iter().for_each(Set::audit);
    }
}
