//! What every ledger keeps to, rule by rule, and how a posting that breaks one is shown.

use std::fmt;

use rp_core::posting::{Act, BANK, Posting, Source};

macro_rules! rules {
    ($($name:ident = $sentence:literal;)*) => {
        /// A rule of the ledger.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Rule { $(#[doc = $sentence] $name,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// The rule in words.
            pub const fn sentence(self) -> &'static str {
                match self { $(Rule::$name => $sentence,)* }
            }
        }
    };
}

rules! {
    Stored = "postings stand on disk as they were written";
    Sequence = "the postings of a SET are numbered from 1 without a gap";
    Place = "a posting stands in the SET that its act concerns";
    Form = "a posting has the tail, the request number, the source and the money that its act has";
    Overdrawn = "no account but the mint is ever below zero";
    Countable = "what is issued fits 63 bits";
    Balanced = "all accounts sum to zero, and what is in transit is in notes that wait";
    NoteSent = "only a note that was sent is answered";
    NoteOnce = "a note is answered once";
    NoteOrder = "notes from one SET to another are answered in the order they were sent";
    NoteContent = "an answer has the act, the people and the money of its note";
    NumberOnce = "a request number of a user is answered once";
    NumberWindow = "a request number below the window is not answered any more";
    Terms = "a packet has terms that may be asked for";
    PacketId = "a packet's id names the SET of its sender and no other packet";
    PacketMade = "what concerns a packet comes after it was made";
    Audience = "only those whom a packet is for take of it";
    TakenOnce = "nobody takes of a packet twice";
    Closed = "nobody takes of a packet that is finished or refunded";
    Share = "a share is from 1 to 20 000 fen and what the packet's split gives";
    Refund = "what is left of a packet goes back to its sender, once and whole";
    Told = "those whom a packet is for are told of it, once each, what it is";
    Refusal = "a kept refusal is one that is kept, and true";
    Seen = "a user sees a notice once, after he got it";
    Withdrawal = "a withdrawal is paid whole, or not at all for want of money";
    OrderOne = "an order of the operator's has one hash, one sum and one direction";
    OrderOnce = "an order of the operator's asks each user once, in rising order";
    Plan = "a campaign has a plan that may be asked for";
    Campaign = "campaigns start one after another, are stopped, then closed, and their rest goes back whole";
    PrizeOnce = "a prize of a campaign is won once";
    PrizeFen = "a prize is as large as its campaign's plan says";
    Budget = "a campaign gives out no more than its budget";
    Cap = "nobody wins more prizes than the campaign's plan lets one user win";
}

/// A rule that is broken, and what was found.
#[derive(Debug)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// What was found.
    pub found: String,
}

impl Rule {
    /// The rule is broken: `found` says how.
    pub fn broken<T>(self, found: impl Into<String>) -> Result<T, Breach> {
        Err(Breach { rule: self, found: found.into() })
    }

    /// The rule holds when `holds`; else `found` says what is.
    pub fn demand(self, holds: bool, found: impl FnOnce() -> String) -> Result<(), Breach> {
        if holds { Ok(()) } else { self.broken(found()) }
    }
}

/// Where in the ledger a fault is.
#[derive(Debug)]
pub struct Place {
    /// The position in the whole ledger, from 1.
    pub position: u64,
    /// The SET that wrote the posting.
    pub set: u16,
    /// Its number in the SET.
    pub sequence: u64,
    /// What it is for.
    pub act: Act,
}

impl Place {
    /// Where a posting is.
    pub fn of(position: u64, posting: &Posting<'_>) -> Self {
        Self { position, set: posting.set, sequence: posting.sequence, act: posting.act }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, act) = (name_of(self.set), self.act.name());
        write!(f, "position {}, {set}, sequence {} ({act})", self.position, self.sequence)
    }
}

/// The first fault of a ledger.
#[derive(Debug)]
pub struct Fault {
    /// Where; nowhere when only all postings together show it.
    pub place: Option<Place>,
    /// The rule and what was found.
    pub breach: Breach,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach { rule, found } = &self.breach;
        match &self.place {
            Some(place) => write!(f, "{place}: ")?,
            None => write!(f, "all postings together: ")?,
        }
        write!(f, "{}; found: {found}", rule.sentence())
    }
}

impl std::error::Error for Fault {}

/// A SET or the bank, as sentences name it.
pub fn name_of(set: u16) -> String {
    if set == BANK { "the bank".to_string() } else { format!("SET {set}") }
}

/// A note, as sentences name it.
pub fn name_of_note(source: Source) -> String {
    let place = source.place();
    format!("note {} of sequence {} of {}", place & 0xff, place >> 8, name_of(source.set()))
}
