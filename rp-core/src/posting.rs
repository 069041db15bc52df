//! One line of the ledger: what moved, from which account to which, why, and what must be known to do it again.
//!
//! SETs write postings, each numbered from 1 without a gap; the bank is a SET by the number [`BANK`]. A posting holds all
//! that restores its effect: nothing is decided again when it is read back. Some move no money: they keep a refusal, a
//! notice, an acknowledgement. What one SET sends to another leaves as a posting into transit and arrives as one out of it
//! that names its source, so a source that was seen before is a repeat.

mod tail;

use crate::wire::Field;
pub use tail::{Planned, Refused, Terms, Told};

/// The number of the bank among SETs.
pub const BANK: u16 = u16::MAX;

/// The user whom there is not: in news, all users of a SET.
pub const NOBODY: u64 = 0;

/// Where money is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Account {
    /// Where all money comes from; its balance is what was issued, negative.
    Mint,
    /// A user, by id.
    User(u64),
    /// A packet, by id.
    Packet(u64),
    /// A campaign, by number.
    Campaign(u64),
    /// On its way between SETs.
    Transit,
}

/// The types of [`Account`], as `kinds` names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// [`Account::Mint`]; the column is zero.
    Mint,
    /// [`Account::User`]; the column is the user's id.
    User,
    /// [`Account::Packet`]; the column is the packet's id.
    Packet,
    /// [`Account::Campaign`]; the column is its number.
    Campaign,
    /// [`Account::Transit`]; the column tells whose money travels.
    Transit,
    /// No money moves; the column tells whom the posting is about.
    None,
}

impl Side {
    /// The name used in the ledger's tables, exports and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Mint => "mint",
            Side::User => "user",
            Side::Packet => "packet",
            Side::Campaign => "campaign",
            Side::Transit => "transit",
            Side::None => "none",
        }
    }
}

macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $label:literal, $debit:ident, $credit:ident;)*) => {
        /// What a posting is for.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Act { $($(#[$doc])* $name = $value,)* }

        impl Act {
            /// Every act.
            pub const ALL: &'static [Act] = &[$(Act::$name,)*];

            /// The act of this number, if there is one.
            pub const fn of_number(number: u8) -> Option<Act> {
                match number { $($value => Some(Act::$name),)* _ => None }
            }

            /// The name used in the ledger's tables, exports and documents.
            pub const fn name(self) -> &'static str {
                match self { $(Act::$name => $label,)* }
            }

            /// The types of the accounts it debits and credits.
            pub const fn sides(self) -> (Side, Side) {
                match self { $(Act::$name => (Side::$debit, Side::$credit),)* }
            }
        }
    };
}

acts! {
    /// The bank issues money to the user `credit`. A note to the user's SET.
    Minted = 1, "minted", Mint, Transit;
    /// It arrives.
    Deposited = 2, "deposited", Transit, User;
    /// It cannot: the user's SET `debit` has no room for `credit`. A note to the bank.
    Bounced = 3, "bounced", Transit, Transit;
    /// The bank takes money back: what bounced, or was withdrawn by the user `debit`.
    Redeemed = 4, "redeemed", Transit, Mint;
    /// The operator asks the user `credit` for money back. A note to the user's SET. `about`: how much.
    Reclaimed = 5, "reclaimed", None, None;
    /// The user pays it, or, with `fen` zero, has not so much. A note to the bank.
    Withdrawn = 6, "withdrawn", User, Transit;
    /// A campaign gets its budget. Tail: its plan.
    Started = 7, "started", Mint, Campaign;
    /// A campaign ends: from here on nothing of it is released.
    Stopped = 8, "stopped", None, None;
    /// What nobody won goes back. The campaign is over.
    Closed = 9, "closed", Campaign, Mint;
    /// A user wins the prize `about`: campaign in the high half, number in the low.
    Won = 10, "won", Campaign, User;
    /// A user makes a packet. Tail: [`Terms`]. A note to each SET of the recipients.
    Sent = 11, "sent", User, Packet;
    /// A request of the user `debit` is refused for good. Tail: [`Refused`].
    Refused = 12, "refused", None, None;
    /// A user takes a share of a packet of the same SET.
    Taken = 13, "taken", Packet, User;
    /// The user `credit` of another SET takes a share. A note to that SET.
    Handed = 14, "handed", Packet, Transit;
    /// It arrives, from the packet `debit`.
    Received = 15, "received", Transit, User;
    /// A packet's time is over; what is left goes back to its sender.
    Refunded = 16, "refunded", Packet, User;
    /// The user `credit` is told of the packet `about` from the user `debit`; zero: all users of the SET that the ledger
    /// knows. Tail: [`Told`].
    Told = 17, "told", None, None;
    /// The same, but there was no room to tell it.
    Untold = 18, "untold", None, None;
    /// The user `debit` has seen the notice `about`.
    Seen = 19, "seen", None, None;
}

/// A place in what a SET sends to others: its number, the sequence of the posting, and which of the posting's notes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Source(pub u64);

impl Source {
    /// No source: the posting was caused within its own SET.
    pub const NONE: Source = Source(0);
    /// Sequences end here.
    pub const SEQUENCE_MAX: u64 = (1 << 40) - 1;

    /// Note `index` of posting `sequence` of SET `set`.
    pub const fn new(set: u16, sequence: u64, index: u8) -> Source {
        Source((set as u64) << 48 | sequence << 8 | index as u64)
    }

    /// The SET.
    pub const fn set(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Sequence and index, rising from one note of the SET to its next.
    pub const fn place(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }

    /// Is there one?
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// One line of the ledger. What `debit`, `credit` and `about` name depends on the [`Act`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting<'a> {
    /// The SET that writes it.
    pub set: u16,
    /// Its number in the SET.
    pub sequence: u64,
    /// What it is for.
    pub act: Act,
    /// Who gives.
    pub debit: u64,
    /// Who gets.
    pub credit: u64,
    /// How much; 0 where no money moves.
    pub fen: u64,
    /// Packet, prize or notice.
    pub about: u64,
    /// The user's request number that it answers, or the number of the operator's order that it is of, or 0.
    pub request: u64,
    /// Hash of that request or order.
    pub hash: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The note that it answers.
    pub source: Source,
    /// What else must be known, by act.
    pub tail: &'a [u8],
}

/// Where a journal says, on the way to the ledger, that more of an event follows; zero in the posting itself.
const MORE_AT: usize = 3;
/// Bytes of a posting without its tail.
pub const HEAD_LEN: usize = 2 + 1 + 1 + 2 + 9 * 8;
/// Longest tail: a SEND with every recipient and the longest greeting.
pub const TAIL_MAX: usize = Terms::LEN + 8 * crate::limits::RECIPIENTS_MAX + crate::limits::GREETING_MAX;
/// Bytes of the longest posting.
pub const POSTING_MAX: usize = HEAD_LEN + TAIL_MAX;

impl<'a> Posting<'a> {
    /// One that says nothing but what it is for and when; SET and sequence are the writer's to give.
    pub const fn new(act: Act, at_ms: u64) -> Self {
        Self {
            set: 0,
            sequence: 0,
            act,
            debit: 0,
            credit: 0,
            fen: 0,
            about: 0,
            request: 0,
            hash: 0,
            at_ms,
            source: Source::NONE,
            tail: &[],
        }
    }

    /// Bytes it is written in.
    pub const fn len(&self) -> usize {
        HEAD_LEN + self.tail.len()
    }

    /// Never: it has a head.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes it to the start of `out`, which has room; returns its length. The same bytes are what the ledger's chain of
    /// checksums runs over.
    pub fn put(&self, out: &mut [u8]) -> usize {
        (self.tail.len() as u16).put(out);
        out[2] = self.act as u8;
        out[MORE_AT] = 0;
        self.set.put(&mut out[4..]);
        let words = [
            self.sequence,
            self.debit,
            self.credit,
            self.fen,
            self.about,
            self.request,
            self.hash,
            self.at_ms,
            self.source.0,
        ];
        for (word, room) in words.iter().zip(out[6..HEAD_LEN].chunks_exact_mut(8)) {
            word.put(room);
        }
        out[HEAD_LEN..HEAD_LEN + self.tail.len()].copy_from_slice(self.tail);
        self.len()
    }

    /// Reads the posting at the start of `bytes`; `None` when it is cut short or of an act that there is not.
    pub fn take(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.first_chunk::<HEAD_LEN>()?;
        let tail_len = usize::from(<u16 as Field>::take(head));
        let word = |i: usize| <u64 as Field>::take(&head[6 + 8 * i..]);
        Some(Self {
            set: Field::take(&head[4..]),
            sequence: word(0),
            act: Act::of_number(head[2])?,
            debit: word(1),
            credit: word(2),
            fen: word(3),
            about: word(4),
            request: word(5),
            hash: word(6),
            at_ms: word(7),
            source: Source(word(8)),
            tail: bytes.get(HEAD_LEN..HEAD_LEN + tail_len)?,
        })
    }

    /// The accounts it moves money between; `None` when it moves none.
    pub fn accounts(&self) -> Option<(Account, Account)> {
        let (debit, credit) = self.act.sides();
        Some((account(debit, self.debit)?, account(credit, self.credit)?))
    }
}

fn account(side: Side, column: u64) -> Option<Account> {
    Some(match side {
        Side::Mint => Account::Mint,
        Side::User => Account::User(column),
        Side::Packet => Account::Packet(column),
        Side::Campaign => Account::Campaign(column),
        Side::Transit => Account::Transit,
        Side::None => return None,
    })
}

/// Bytes of the posting that starts with these, if so much of it is there.
pub fn len_of(bytes: &[u8]) -> Option<usize> {
    let len = HEAD_LEN + usize::from(<u16 as Field>::take(bytes.first_chunk::<HEAD_LEN>()?));
    (len <= bytes.len()).then_some(len)
}

/// Is the posting that starts with these bytes the last of its event? What one datagram or note did is committed as one.
pub fn ends_event(bytes: &[u8]) -> bool {
    bytes[MORE_AT] == 0
}

/// Marks the posting that starts with these bytes: is there more of its event behind it?
pub fn set_more(bytes: &mut [u8], more: bool) {
    bytes[MORE_AT] = u8::from(more);
}

/// The postings written one after another in `bytes`.
///
/// # Panics
/// When the bytes are not whole postings: they are our own.
pub fn each(mut bytes: &[u8]) -> impl Iterator<Item = Posting<'_>> {
    core::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let posting = Posting::take(bytes).expect("whole postings were written");
        bytes = &bytes[posting.len()..];
        Some(posting)
    })
}
