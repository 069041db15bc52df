//! A session as the gate and its worker share it: eight 64-bit words, one cache line.
//!
//! Both change one word alone, by compare-and-swap: generation, state, sequence and bucket of the session. Key and address
//! are written only while that word says *closed*, and published by it; the gate may write the time of the newest datagram
//! and nothing else besides. docs/ARCHITECTURE.md says what happens when both meet.

use crate::bucket::Fill;
use crate::key::Key;
use crate::limits::SLOT_BITS;
use crate::wire::{Origin, Peer, bytes_of, words_of};

/// Memory of 64-bit words that several CPUs read and write at once, wherever it lies: atomics on the host, a map's value
/// in the kernel.
pub trait Words {
    /// Reads a word.
    fn load(&self, at: usize) -> u64;
    /// Writes a word; what was written before is seen before it.
    fn store(&self, at: usize, value: u64);
    /// Replaces `old` by `new`; `false` when the word was not `old`.
    fn swap(&self, at: usize, old: u64, new: u64) -> bool;
}

/// Words of an entry.
pub const ENTRY_WORDS: usize = 8;
const STATUS: usize = 0;
const KEY: usize = 1;
const ADDRESS: usize = 3;
/// Port (16 bits) and row of the client's address (16 bits).
const PORT: usize = 5;
/// Milliseconds on the monotonic clock, wrapping, at the newest datagram.
const SEEN: usize = 6;
/// Number of the campaign in which the user has won all he may.
const CAPPED: usize = 7;

/// Generations of a slot.
pub const GENERATIONS: u32 = 1 << (32 - SLOT_BITS);

/// How the newest sequence of a session was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// No session.
    Closed = 0,
    /// The newest shake won nothing. The gate answers it again, and the next one.
    Nothing = 1,
    /// The worker must hear the session's first datagram.
    Up = 2,
    /// The newest shake claimed a prize. The worker grants it, or answers *nothing*.
    Won = 3,
}

/// The word that both change: sequence in bits 0 .. 32, bucket 32 .. 52, state 52 .. 54, generation 54 .. 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(u64);

impl Status {
    /// No session; the next one in the slot has this generation.
    pub const fn closed(generation: u16) -> Status {
        Status((generation as u64) << 54)
    }

    /// A session that begins, in `Nothing`, or in `Up` when the worker must hear its first datagram.
    pub const fn opened(generation: u16, state: State, now_ms: u32) -> Status {
        Status::closed(generation).with_state(state).with_fill(Fill::of_bits(now_ms))
    }

    /// The newest sequence seen.
    #[inline(always)]
    pub const fn sequence(self) -> u32 {
        self.0 as u32
    }

    /// The session's bucket.
    #[inline(always)]
    pub const fn fill(self) -> Fill {
        Fill::of_bits((self.0 >> 32) as u32)
    }

    /// How the newest sequence was answered.
    #[inline(always)]
    pub const fn state(self) -> State {
        match self.0 >> 52 & 3 {
            0 => State::Closed,
            1 => State::Nothing,
            2 => State::Up,
            _ => State::Won,
        }
    }

    /// Which use of the slot this is.
    #[inline(always)]
    pub const fn generation(self) -> u16 {
        (self.0 >> 54) as u16
    }

    /// Is this the session of such an id?
    #[inline(always)]
    pub const fn is_of(self, session: u32) -> bool {
        self.0 >> 52 & 3 != 0 && self.0 >> 54 == (session >> SLOT_BITS) as u64
    }

    /// The same in another state.
    #[inline(always)]
    pub const fn with_state(self, state: State) -> Status {
        Status(self.0 & !(3 << 52) | (state as u64) << 52)
    }

    /// The same at another sequence.
    #[inline(always)]
    pub const fn with_sequence(self, sequence: u32) -> Status {
        Status(self.0 & !0xffff_ffff | sequence as u64)
    }

    /// The same with another bucket.
    #[inline(always)]
    pub const fn with_fill(self, fill: Fill) -> Status {
        Status(self.0 & !((Fill::MASK as u64) << 32) | (fill.bits() as u64) << 32)
    }
}

/// An entry, wherever its words lie.
#[derive(Clone, Copy)]
pub struct Entry<W>(pub W);

impl<W: Words> Entry<W> {
    /// The word that both change.
    #[inline(always)]
    pub fn status(&self) -> Status {
        Status(self.0.load(STATUS))
    }

    /// Changes it; `false` when somebody else did so first.
    #[inline(always)]
    pub fn swap(&self, old: Status, new: Status) -> bool {
        self.0.swap(STATUS, old.0, new.0)
    }

    /// The key of the tags, both ways.
    #[inline(always)]
    pub fn key(&self) -> Key {
        bytes_of([self.0.load(KEY), self.0.load(KEY + 1)])
    }

    /// Where the session's client is.
    #[inline(always)]
    pub fn peer(&self) -> Peer {
        Peer { ip: bytes_of([self.0.load(ADDRESS), self.0.load(ADDRESS + 1)]), port: self.0.load(PORT) as u16 }
    }

    /// Is the session's client where a request came from?
    #[inline(always)]
    pub fn is_at(&self, from: &Origin) -> bool {
        let address = [self.0.load(ADDRESS), self.0.load(ADDRESS + 1)];
        address == from.ip && self.0.load(PORT) as u16 == from.port
    }

    /// Row of the client's address in the books.
    #[inline(always)]
    pub fn client(&self) -> u16 {
        (self.0.load(PORT) >> 16) as u16
    }

    /// Milliseconds on the monotonic clock, wrapping, at the newest datagram.
    #[inline(always)]
    pub fn seen_ms(&self) -> u32 {
        self.0.load(SEEN) as u32
    }

    /// A datagram came.
    #[inline(always)]
    pub fn see(&self, now_ms: u32) {
        self.0.store(SEEN, u64::from(now_ms));
    }

    /// The campaign of which the user may win nothing more; zero is none.
    #[inline(always)]
    pub fn capped(&self) -> u32 {
        self.0.load(CAPPED) as u32
    }

    /// The user may win nothing more of a campaign. Only the worker writes it.
    #[inline(always)]
    pub fn cap(&self, campaign: u32) {
        self.0.store(CAPPED, u64::from(campaign));
    }

    /// Fills a closed entry; only then may it be published by [`Self::publish`]. Only the worker may.
    pub fn fill(&self, key: &Key, peer: &Peer, client: u16, now_ms: u32) {
        let [low, high] = words_of(key);
        self.0.store(KEY, low);
        self.0.store(KEY + 1, high);
        self.place(peer, client);
        self.see(now_ms);
        self.cap(0);
    }

    /// Writes the client's address to a closed entry. Only the worker may.
    pub fn place(&self, peer: &Peer, client: u16) {
        let [low, high] = words_of(&peer.ip);
        self.0.store(ADDRESS, low);
        self.0.store(ADDRESS + 1, high);
        self.0.store(PORT, u64::from(client) << 16 | u64::from(peer.port));
    }

    /// Wipes the key of a closed entry. Only the worker may.
    pub fn forget_key(&self) {
        self.0.store(KEY, 0);
        self.0.store(KEY + 1, 0);
    }

    /// Opens a closed entry, which nobody but the worker changes.
    pub fn publish(&self, status: Status) {
        self.0.store(STATUS, status.0);
    }

    /// Closes the entry, whatever the gate is doing; returns how it was.
    pub fn close(&self) -> Status {
        loop {
            let status = self.status();
            if self.swap(status, status.with_state(State::Closed)) {
                return status;
            }
        }
    }
}
