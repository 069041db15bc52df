//! What is read: who asks for which page, and how to answer him. What only the ledger can answer waits here until whoever
//! reads it takes the question.

use alloc::collections::VecDeque;

use super::journal::Journal;
use crate::key::{Key, SealingKey};
use crate::kind::Kind;
use crate::limits::{ASKS_MAX, DATAGRAM_MAX};
use crate::sealing::close_money;
use crate::wire::{Peer, Refusal, Refused};

/// How long a reader waits who found the ledger's readers busy.
const BUSY_RETRY_MS: u16 = 200;

/// Who reads, and what one answer to him needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reader {
    /// The user.
    pub user: u64,
    /// The user's SET.
    pub set: u16,
    /// Echoed.
    pub request: u64,
    /// The session's counter for this one answer.
    pub counter: u64,
    /// The session's key.
    pub key: Key,
    /// What the answer is sealed under, where it is.
    pub sealing: Option<SealingKey>,
    /// The session.
    pub session: u32,
    /// Where to.
    pub peer: Peer,
    /// The address that was asked.
    pub door: u16,
}

/// Which page of a packet is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DetailAsk {
    /// By whom.
    pub reader: Reader,
    /// The packet.
    pub packet: u64,
    /// The first share to show.
    pub first: u8,
}

/// Which page of his own history a user reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryAsk {
    /// By whom.
    pub reader: Reader,
    /// What stands before this position of the ledger; 0 for the newest.
    pub before: u64,
}

/// A question that only the ledger can answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// A packet that memory has forgotten.
    Detail(DetailAsk),
    /// A history.
    History(HistoryAsk),
}

impl Ask {
    /// Who asks.
    pub fn reader(&self) -> &Reader {
        match self {
            Ask::Detail(ask) => &ask.reader,
            Ask::History(ask) => &ask.reader,
        }
    }

    /// Refuses it; the answer's length.
    pub fn refuse(&self, refusal: Refusal, out: &mut [u8; DATAGRAM_MAX]) -> usize {
        let kind = match self {
            Ask::Detail(_) => Kind::Detail,
            Ask::History(_) => Kind::History,
        };
        self.reader().refuse(kind, refusal, out)
    }
}

impl Reader {
    /// Refuses what was asked; the answer's length.
    pub(super) fn refuse(&self, kind: Kind, refusal: Refusal, out: &mut [u8; DATAGRAM_MAX]) -> usize {
        let Reader { session, counter, request, .. } = *self;
        let retry_after_ms = if refusal == Refusal::Busy { BUSY_RETRY_MS } else { 0 };
        let (kind, refusal) = (kind as u8, refusal as u8);
        let refused = Refused { flags: 0, session, counter, request, refusal, kind, retry_after_ms, share_fen: 0 };
        let len = refused.put(out);
        self.close(out, len)
    }

    /// Closes an answer; its length.
    pub(super) fn close(&self, out: &mut [u8; DATAGRAM_MAX], len: usize) -> usize {
        close_money(&self.key, self.sealing, out, len)
    }
}

/// Questions that wait, each until all that was written before it is on disk: the ledger is then no older than memory was.
#[derive(Default)]
pub(super) struct Asks(VecDeque<(u64, Ask)>);

impl Asks {
    /// Has a question wait; `false` when too many do, or one of the same session.
    pub fn push(&mut self, ask: Ask, journal: &Journal) -> bool {
        let session = ask.reader().session;
        let has_room = self.0.len() < ASKS_MAX && self.0.iter().all(|(_, other)| other.reader().session != session);
        if has_room {
            self.0.push_back((journal.written(), ask));
        }
        has_room
    }

    /// Does none wait?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next that the ledger can answer.
    pub fn pop(&mut self, journal: &Journal) -> Option<Ask> {
        self.0.pop_front_if(|(after, _)| journal.is_kept(*after)).map(|(_, ask)| ask)
    }
}
