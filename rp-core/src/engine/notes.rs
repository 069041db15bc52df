//! Notes: the only bridge between SETs, and between SETs and the bank.
//!
//! A note that asks is always answered by one note, and a worker may have only so many unanswered; so a ring that holds
//! both sides' credits never overflows, and no note is ever lost or waited for.

use alloc::collections::VecDeque;

use crate::key::Key;
use crate::limits::NOTE_CREDITS;
use crate::wire::{Peer, Refusal};

/// The number by which notes name the bank.
pub const BANK: u16 = u16::MAX;

/// A note and its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// The SET that gets it, or [`BANK`].
    pub to: u16,
    /// The SET that sent it, or [`BANK`].
    pub from: u16,
    /// What it says.
    pub body: Body,
}

/// What a note says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// A user of another SET wants a share. Answered by `GrabDone`.
    GrabAsk {
        /// The taker.
        user: u64,
        /// The packet.
        packet: u64,
        /// The taker's request number.
        request: u64,
    },
    /// The owner of the packet decided; a share's money is in transit with this note.
    GrabDone {
        /// The taker.
        user: u64,
        /// The packet.
        packet: u64,
        /// The taker's request number.
        request: u64,
        /// The share, or why not.
        decision: Decision,
    },
    /// A user of another SET reads a packet. The owner sends the page itself and answers by `Heard`: the note carries what
    /// it needs for that, because a page is larger than any note should be.
    DetailAsk(DetailAsk),
    /// There is a packet for a user of this SET, or for all of them. Answered by `Heard`.
    PacketFor {
        /// The recipient, or every user of the SET.
        user: Option<u64>,
        /// The packet.
        packet: u64,
        /// The sender.
        sender: u64,
        /// What is in it.
        fen: u64,
        /// Milliseconds since 1970 when it was made.
        at_ms: u64,
    },
    /// A `PacketFor` or `DetailAsk` was heard; gives its credit back.
    Heard,
    /// Money for a user, from the bank. Answered by `DepositDone`.
    Deposit {
        /// The user.
        user: u64,
        /// How much, in transit with this note.
        fen: u64,
    },
    /// The deposit was booked, or comes back.
    DepositDone {
        /// How much comes back: 0, or all of it when the SET's accounts are full.
        back_fen: u64,
    },
    /// A prize to be won, from the bank; its money is in transit with this note.
    Prize(PrizeNote),
    /// A prize that nobody took; its money is in transit with this note.
    PrizeBack(PrizeNote),
    /// The campaign is over: give back what waits.
    CampaignEnd,
}

/// Who reads which page of a packet, and how to answer it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DetailAsk {
    /// The reader.
    pub user: u64,
    /// The packet.
    pub packet: u64,
    /// Echoed.
    pub request: u64,
    /// The reader's counter for this one answer.
    pub counter: u64,
    /// The reader's key.
    pub key: Key,
    /// The reader's session.
    pub session: u32,
    /// Where to.
    pub peer: Peer,
    /// The address that was asked.
    pub door: u16,
    /// The first share to show.
    pub first: u8,
}

/// A prize on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrizeNote {
    /// The campaign.
    pub campaign: u32,
    /// The prize's number in the campaign.
    pub number: u32,
    /// How much.
    pub fen: u64,
    /// Prizes one user may win in the campaign.
    pub per_user: u8,
}

/// What became of a grab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// A share, newly taken.
    Share(u64),
    /// Why not; with *already yours*, the share that was taken before.
    No(Refusal, u64),
}

/// Notes on their way out of a shard.
pub struct Outbox {
    queue: VecDeque<Note>,
    credits: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { queue: VecDeque::with_capacity(1024), credits: NOTE_CREDITS }
    }
}

impl Outbox {
    /// Asks that may still be sent before answers come.
    pub fn credits(&self) -> usize {
        self.credits
    }

    /// Sends a note that will be answered. The caller has looked at [`Self::credits`].
    pub fn ask(&mut self, note: Note) {
        self.credits = self.credits.checked_sub(1).expect("asks look at the credits first");
        self.queue.push_back(note);
    }

    /// Sends a note that is an answer, or goes to the bank, which bounds what it has out.
    pub fn answer(&mut self, note: Note) {
        self.queue.push_back(note);
    }

    /// An ask was answered.
    pub fn answered(&mut self) {
        self.credits += 1;
        assert!(self.credits <= NOTE_CREDITS, "a note was answered twice");
    }

    /// The next note to carry.
    pub fn pop(&mut self) -> Option<Note> {
        self.queue.pop_front()
    }

    /// Puts a note back that its ring had no room for.
    pub fn unpop(&mut self, note: Note) {
        self.queue.push_front(note);
    }
}
