//! What an audit counted, for people and for programs.

use std::fmt;

use rp_core::posting::Source;
use serde::Serialize;

use super::fault::{name_of, name_of_note};
use super::notes::{Content, Note};

/// Notes listed for people; programs get all.
const NOTES_SHOWN: usize = 20;

/// A number of things and their money.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Fen.
    pub fen: u64,
}

impl Sum {
    /// One more.
    pub fn add(&mut self, fen: u64) {
        self.count += 1;
        self.fen += fen;
    }
}

/// A note that waits for its answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Waiting {
    /// The SET that sent it; 65535 is the bank.
    pub from: u16,
    /// The SET it is for; 65535 is the bank.
    pub to: u16,
    /// Sequence of the posting that sent it.
    pub sequence: u64,
    /// Which of the posting's notes.
    pub note: u8,
    /// The act of that posting.
    pub act: &'static str,
    /// The user it is for or from; 0 in news for a whole SET.
    pub user: u64,
    /// Money in transit with it.
    pub fen: u64,
}

impl Waiting {
    /// A note for the SET `to`.
    pub fn new(to: u16, note: &Note) -> Self {
        let Note { source, content } = note;
        let user = match *content {
            Content::Deposit { user, .. }
            | Content::Bounce { user, .. }
            | Content::Reclaim { user, .. }
            | Content::Payment { user, .. }
            | Content::News { user, .. } => user,
            Content::Share { taker, .. } => taker,
        };
        let (sequence, note) = (source.place() >> 8, source.place() as u8);
        Self { from: source.set(), to, sequence, note, act: content.act().name(), user, fen: content.fen() }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = name_of_note(Source::new(self.from, self.sequence, self.note));
        write!(f, "{note} to {} ({}, user {}, {} fen)", name_of(self.to), self.act, self.user, self.fen)
    }
}

/// The figures of a ledger in which all is right.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Figures {
    /// Postings.
    pub postings: u64,
    /// SETs that wrote, the bank among them.
    pub writers: u64,
    /// Users that the postings speak of.
    pub users_known: u64,
    /// Money issued and not taken back.
    pub issued_fen: u64,
    /// Users who hold money.
    pub users: Sum,
    /// Campaigns that are not closed.
    pub campaigns: Sum,
    /// Notes that wait for their answer.
    pub transit: Sum,
    /// Packets.
    pub made: Sum,
    /// Packets of which all shares are taken, and the money of all shares taken of any.
    pub taken: Sum,
    /// Packets whose rest went back, and that rest.
    pub refunded: Sum,
    /// Packets that can be taken of, and what is left in them.
    pub open: Sum,
    /// Shares taken.
    pub shares: u64,
    /// Prizes won.
    pub prizes: Sum,
    /// Users of a sender's own SET who were not told of a packet yet.
    pub untold: u64,
    /// Each note that waits.
    pub waiting: Vec<Waiting>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |sum: &Sum| format!("{} fen ({})", sum.fen, sum.count);
        writeln!(f, "postings  {} by {} SETs, of {} users", self.postings, self.writers, self.users_known)?;
        writeln!(f, "issued    {} fen", self.issued_fen)?;
        writeln!(
            f,
            "  is with users {}, open packets {}, campaigns {}, in transit {}",
            sum(&self.users),
            sum(&self.open),
            sum(&self.campaigns),
            sum(&self.transit)
        )?;
        writeln!(f, "packets   made {}", sum(&self.made))?;
        writeln!(
            f,
            "  are taken {}, refunded {}, open {}; {} shares",
            sum(&self.taken),
            sum(&self.refunded),
            sum(&self.open),
            self.shares
        )?;
        write!(f, "prizes    {}", sum(&self.prizes))?;
        for waiting in self.waiting.iter().take(NOTES_SHOWN) {
            write!(f, "\nwaits     {waiting}")?;
        }
        match self.waiting.len().saturating_sub(NOTES_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nwaits     {more} notes more; --json lists all"),
        }
    }
}
