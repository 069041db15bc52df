//! What the client counts: every datagram it sent or received, in exactly one place, and every fen it was told of.

use rp_core::kind::{KINDS_MAX, Kind};

/// Why a received datagram was thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Discard {
    /// Its first byte is no reply's.
    NotAReply,
    /// Too short or too long for its kind.
    BadLength,
    /// For a session that no user of ours has.
    NoSuchSession,
    /// For a log-in that no user of ours has under way.
    NoSuchLogin,
    /// Its tag does not verify.
    BadTag,
    /// A field has a value that its kind does not allow.
    BadField,
    /// It bears money and is not sealed as WELCOME said, or its seal does not verify.
    BadSeal,
}

impl Discard {
    /// All of them, in the order of their rows.
    pub const ALL: [Discard; 7] = [
        Discard::NotAReply,
        Discard::BadLength,
        Discard::NoSuchSession,
        Discard::NoSuchLogin,
        Discard::BadTag,
        Discard::BadField,
        Discard::BadSeal,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Discard::NotAReply => "not_a_reply",
            Discard::BadLength => "bad_length",
            Discard::NoSuchSession => "no_such_session",
            Discard::NoSuchLogin => "no_such_login",
            Discard::BadTag => "bad_tag",
            Discard::BadField => "bad_field",
            Discard::BadSeal => "bad_seal",
        }
    }
}

/// A number of things and their money.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Their money.
    pub fen: u64,
}

impl Sum {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, fen: self.fen + other.fen }
    }

    /// One more, worth `fen`.
    pub fn add(&mut self, fen: u64) {
        self.count += 1;
        self.fen += fen;
    }
}

/// The books.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Books {
    /// Datagrams sent, by kind.
    pub sent: [u64; KINDS_MAX],
    /// Datagrams received and believed, by kind.
    pub received: [u64; KINDS_MAX],
    /// Datagrams received and thrown away.
    pub discarded: [u64; Discard::ALL.len()],
    /// Prizes won.
    pub prizes: Sum,
    /// Packets made.
    pub packets: Sum,
    /// Shares taken.
    pub shares: Sum,
    /// Packets that came back.
    pub refunded: Sum,
    /// Histories in which a packet that we had just sent was not as we sent it.
    pub false_histories: u64,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            sent: [0; KINDS_MAX],
            received: [0; KINDS_MAX],
            discarded: [0; Discard::ALL.len()],
            prizes: Sum::default(),
            packets: Sum::default(),
            shares: Sum::default(),
            refunded: Sum::default(),
            false_histories: 0,
        }
    }
}

impl Books {
    /// Datagrams sent of a kind.
    pub fn sent_of(&self, kind: Kind) -> u64 {
        self.sent[kind.index()]
    }

    /// Datagrams received of a kind.
    pub fn received_of(&self, kind: Kind) -> u64 {
        self.received[kind.index()]
    }

    /// All datagrams received, believed or not.
    pub fn received_in_all(&self) -> u64 {
        self.received.iter().chain(&self.discarded).sum()
    }
}
