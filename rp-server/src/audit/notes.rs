//! Notes on their way: sent by one SET's posting, to be answered by one posting of another.

use std::collections::{BTreeMap, VecDeque};

use rp_core::posting::{Act, Source};

use super::fault::{Breach, Rule, name_of, name_of_note};

/// A note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// Its place among what its SET sends.
    pub source: Source,
    /// What it says.
    pub content: Content,
}

/// What a note says. Where one bears money, that is in transit with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Money for a user.
    Deposit {
        /// The user.
        user: u64,
        /// The money.
        fen: u64,
        /// The operator's order, if it has a number.
        order: u64,
    },
    /// A deposit that comes back.
    Bounce {
        /// Whom it was for.
        user: u64,
        /// The money.
        fen: u64,
        /// As of the deposit.
        order: u64,
    },
    /// A user is asked for money.
    Reclaim {
        /// The user.
        user: u64,
        /// How much; it is with the user.
        asked_fen: u64,
        /// The operator's order, if it has a number.
        order: u64,
    },
    /// A user's answer to that.
    Payment {
        /// The user.
        user: u64,
        /// The money, or nothing.
        fen: u64,
        /// As of the ask.
        order: u64,
    },
    /// A share of a packet.
    Share {
        /// The packet.
        packet: u64,
        /// The taker.
        taker: u64,
        /// The share.
        fen: u64,
        /// The taker's request number.
        request: u64,
        /// Hash of the request.
        hash: u64,
    },
    /// There is a packet.
    News {
        /// The packet.
        packet: u64,
        /// For whom; 0: all users of the SET.
        user: u64,
    },
}

impl Content {
    /// The money in transit with it.
    pub fn fen(&self) -> u64 {
        match *self {
            Content::Deposit { fen, .. }
            | Content::Bounce { fen, .. }
            | Content::Payment { fen, .. }
            | Content::Share { fen, .. } => fen,
            Content::Reclaim { .. } | Content::News { .. } => 0,
        }
    }

    /// The act that sends it.
    pub fn act(&self) -> Act {
        match self {
            Content::Deposit { .. } => Act::Minted,
            Content::Bounce { .. } => Act::Bounced,
            Content::Reclaim { .. } => Act::Reclaimed,
            Content::Payment { .. } => Act::Withdrawn,
            Content::Share { .. } => Act::Handed,
            Content::News { .. } => Act::Sent,
        }
    }
}

/// What one SET sends to another.
#[derive(Default)]
struct Lane {
    /// Place of the newest answered note.
    answered: u64,
    waiting: VecDeque<Note>,
}

/// All notes that wait for their answer.
#[derive(Default)]
pub struct Notes {
    lanes: BTreeMap<(u16, u16), Lane>,
    fen: i128,
}

impl Notes {
    /// A posting sends a note to the SET `to`.
    pub fn send(&mut self, source: Source, to: u16, content: Content) {
        self.fen += i128::from(content.fen());
        self.lanes.entry((source.set(), to)).or_default().waiting.push_back(Note { source, content });
    }

    /// A posting of the SET `by` answers the note `source`; what the note said.
    pub fn answer(&mut self, source: Source, by: u16) -> Result<Content, Breach> {
        let lane = self.lanes.entry((source.set(), by)).or_default();
        match lane.waiting.front() {
            Some(note) if note.source == source => {
                let content = note.content;
                lane.waiting.pop_front();
                lane.answered = source.place();
                self.fen -= i128::from(content.fen());
                Ok(content)
            }
            _ if source.place() <= lane.answered => {
                Rule::NoteOnce.broken(format!("{} was answered before, or one after it was", name_of_note(source)))
            }
            Some(first) if lane.waiting.iter().any(|note| note.source == source) => {
                let (skipped, answered) = (name_of_note(first.source), name_of_note(source));
                Rule::NoteOrder.broken(format!("{skipped} waits, and {answered} is answered"))
            }
            _ => Rule::NoteSent.broken(format!("{} was never sent to {}", name_of_note(source), name_of(by))),
        }
    }

    /// The money in transit with all that wait.
    pub fn fen(&self) -> i128 {
        self.fen
    }

    /// All that wait, each with the SET it is for.
    pub fn waiting(&self) -> impl Iterator<Item = (u16, &Note)> {
        self.lanes.iter().flat_map(|((_, to), lane)| lane.waiting.iter().map(move |note| (*to, note)))
    }
}
