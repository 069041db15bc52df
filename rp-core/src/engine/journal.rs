//! What the SETs of a worker did and the ledger must keep, and the replies that wait until it has.
//!
//! The journal is written in memory; the caller carries its bytes to the ledger and says how far they are on disk. A reply
//! that speaks of money waits for everything that was written before it: more than it depends on, never less.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::limits::DATAGRAM_MAX;
use crate::posting::{self, POSTING_MAX, Posting};
use crate::wire::Peer;

/// Bytes that one event writes at most: a packet for all users of a SET, each of whom the ledger may not know yet.
pub const EVENT_MAX: usize = POSTING_MAX + crate::limits::ACCOUNTS_PER_SET_MAX * 96;
/// Replies that may wait.
const HELD_MAX: usize = 32_768;
/// Bytes of them.
const HELD_BYTES_MAX: usize = HELD_MAX * 128;

/// A reply that waits.
struct Held {
    after: u64,
    len: u16,
    to: Peer,
    door: u16,
    client: u16,
}

/// Where a reply goes, and how long it is.
pub struct Address {
    /// Its bytes.
    pub len: usize,
    /// Who gets it.
    pub to: Peer,
    /// The door it leaves by.
    pub door: u16,
    /// Row of the receiver in the books.
    pub client: u16,
}

/// The journal of one worker, or of the bank.
pub struct Journal {
    bytes: Vec<u8>,
    /// Where the newest of them begins.
    newest: usize,
    written: u64,
    durable: u64,
    room: usize,
    held: VecDeque<Held>,
    held_bytes: VecDeque<u8>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            newest: 0,
            written: 0,
            durable: 0,
            room: usize::MAX,
            held: VecDeque::new(),
            held_bytes: VecDeque::new(),
        }
    }
}

impl Journal {
    /// Is there room for whatever one event writes and answers? If not, the sender is told to wait.
    pub fn has_room(&self) -> bool {
        self.room >= self.bytes.len() + EVENT_MAX
            && self.held.len() < HELD_MAX
            && self.held_bytes.len() <= HELD_BYTES_MAX - DATAGRAM_MAX
    }

    /// The ledger's ring takes so many bytes.
    pub fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// Writes a posting; the number of those written, it included.
    pub fn write(&mut self, posting: &Posting<'_>) -> u64 {
        let at = self.bytes.len();
        self.bytes.resize(at + posting.len(), 0);
        posting.put(&mut self.bytes[at..]);
        posting::set_more(&mut self.bytes[at..], true);
        self.newest = at;
        self.written += 1;
        self.written
    }

    /// The event at hand is over: what it wrote is committed together.
    pub(super) fn end_event(&mut self) {
        if !self.bytes.is_empty() {
            posting::set_more(&mut self.bytes[self.newest..], false);
        }
    }

    /// Postings written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Is everything that was written so far on disk?
    pub fn is_durable(&self) -> bool {
        self.durable == self.written
    }

    /// The first so many postings are on disk.
    pub fn durable_to(&mut self, count: u64) {
        assert!((self.durable..=self.written).contains(&count), "the ledger keeps what was written, in order");
        self.durable = count;
    }

    /// Has the disk what was written up to then?
    pub fn is_kept(&self, count: u64) -> bool {
        count <= self.durable
    }

    /// Bytes for the ledger, whole postings, to be taken by [`Self::taken`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// So many of the bytes, whole postings, are on their way.
    pub fn taken(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.newest = self.newest.saturating_sub(len);
    }

    /// All bytes, as on their way.
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.bytes)
    }

    /// Keeps a reply until all that was written is on disk.
    pub(super) fn hold(&mut self, bytes: &[u8], address: &Address) {
        let Address { len, to, door, client } = *address;
        self.held.push_back(Held { after: self.written, len: len as u16, to, door, client });
        self.held_bytes.extend(&bytes[..len]);
    }

    /// The next reply that need not wait, written to `out`.
    pub(super) fn release(&mut self, out: &mut [u8; DATAGRAM_MAX]) -> Option<Address> {
        let held = self.held.pop_front_if(|held| held.after <= self.durable)?;
        let len = usize::from(held.len);
        for (byte, room) in self.held_bytes.drain(..len).zip(out.iter_mut()) {
            *room = byte;
        }
        Some(Address { len, to: held.to, door: held.door, client: held.client })
    }

    /// Does the next reply to leave wait no more?
    pub(super) fn releases(&self) -> bool {
        self.held.front().is_some_and(|held| held.after <= self.durable)
    }

    /// Replies that wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }
}
