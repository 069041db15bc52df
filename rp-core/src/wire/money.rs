//! SEND, GRAB, their answers, and the refusal of any request about money.
//!
//! All that bears money starts with first byte, flags, session and a 64-bit counter that is new for each transmission, and
//! ends with the seal and the tag.

use super::layout::layout;
use super::{Field, TRAILER};
use crate::limits::{GREETING_MAX, RECIPIENTS_MAX};

/// `split` of a [`Send`]: equal shares, the remainder spread one fen each.
pub const SPLIT_EQUAL: u8 = 0;
/// `split` of a [`Send`]: double mean at the time of opening.
pub const SPLIT_RANDOM: u8 = 1;
/// `audience` of a [`Send`]: the listed users.
pub const AUDIENCE_LISTED: u8 = 0;
/// `audience` of a [`Send`]: every user of the SET in `set`.
pub const AUDIENCE_SET: u8 = 1;

/// Why a request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// All shares are taken.
    Empty = 1,
    /// The packet, or the ticket, is too old.
    Expired = 2,
    /// The user has a share already; the answer says how much.
    AlreadyYours = 3,
    /// The user is not among the recipients.
    NotForYou = 4,
    /// No such packet.
    UnknownPacket = 5,
    /// The balance does not cover the packet.
    Insufficient = 6,
    /// A table of the server is full.
    Full = 7,
    /// The request number was used for another request.
    Conflict = 8,
    /// The request number is below the window.
    Stale = 9,
    /// A field has a value that the rules of money do not allow.
    Malformed = 10,
    /// Overloaded; the request number is not consumed. Try again.
    Busy = 11,
    /// The server keeps no ledger on disk that it could be read from.
    NotKept = 12,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Refusal; 12] = [
        Refusal::Empty,
        Refusal::Expired,
        Refusal::AlreadyYours,
        Refusal::NotForYou,
        Refusal::UnknownPacket,
        Refusal::Insufficient,
        Refusal::Full,
        Refusal::Conflict,
        Refusal::Stale,
        Refusal::Malformed,
        Refusal::Busy,
        Refusal::NotKept,
    ];

    /// The refusal of this number.
    pub fn of_number(number: u8) -> Option<Refusal> {
        Self::ALL.into_iter().find(|r| *r as u8 == number)
    }

    /// The name used in counters, documents and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Empty => "empty",
            Refusal::Expired => "expired",
            Refusal::AlreadyYours => "already_yours",
            Refusal::NotForYou => "not_for_you",
            Refusal::UnknownPacket => "unknown_packet",
            Refusal::Insufficient => "insufficient",
            Refusal::Full => "full",
            Refusal::Conflict => "conflict",
            Refusal::Stale => "stale",
            Refusal::Malformed => "malformed",
            Refusal::Busy => "busy",
            Refusal::NotKept => "not_kept",
        }
    }
}

layout! {
    /// Put money into a packet. Tail: `recipients` user ids of 8 bytes, then `greeting_len` bytes of UTF-8.
    Send = Send {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// The user's request number.
        request: u64,
        /// Money, taken from the sender's balance.
        total_fen: u64,
        /// [`SPLIT_EQUAL`] or [`SPLIT_RANDOM`].
        split: u8,
        /// [`AUDIENCE_LISTED`] or [`AUDIENCE_SET`].
        audience: u8,
        /// 1 ..= 100.
        shares: u8,
        /// User ids in the tail; 1 ..= 100 when listed, else 0.
        recipients: u8,
        /// The SET when the audience is one, else 0.
        set: u16,
        /// Bytes of greeting in the tail.
        greeting_len: u8,
        /// Zero.
        reserved: u8,
    }
}

/// A [`Send`] with its tail.
#[derive(Clone, Copy, Debug)]
pub struct SendView<'a> {
    /// The fixed fields.
    pub fields: Send,
    recipients: &'a [u8],
    /// The greeting, UTF-8.
    pub greeting: &'a str,
}

impl<'a> SendView<'a> {
    /// Reads a SEND datagram; `None` when its tail is not as long as its fields say, or the greeting is not UTF-8.
    pub fn take(datagram: &'a [u8]) -> Option<Self> {
        let fields = Send::take(datagram)?;
        let recipients_len = 8 * usize::from(fields.recipients);
        let greeting_len = usize::from(fields.greeting_len);
        if usize::from(fields.recipients) > RECIPIENTS_MAX
            || greeting_len > GREETING_MAX
            || datagram.len() != Send::LEN + recipients_len + greeting_len + TRAILER
        {
            return None;
        }
        Self::of(fields, &datagram[Send::LEN..datagram.len() - TRAILER])
    }

    /// Fields with their tail; `None` when that is not as long as they say, or the greeting is not UTF-8.
    pub fn of(fields: Send, tail: &'a [u8]) -> Option<Self> {
        let (recipients, greeting) = tail.split_at_checked(8 * usize::from(fields.recipients))?;
        let is_whole = greeting.len() == usize::from(fields.greeting_len);
        Some(Self { fields, recipients, greeting: core::str::from_utf8(greeting).ok().filter(|_| is_whole)? })
    }

    /// The listed users.
    pub fn recipients(&self) -> impl ExactSizeIterator<Item = u64> + Clone + 'a {
        self.recipients.chunks_exact(8).map(<u64 as Field>::take)
    }

    /// Writes fields and tail from a list of users; returns the length before the trailer.
    ///
    /// The counts in `fields` are set from the tail. `recipients` and `greeting` must be within their limits.
    pub fn put(mut fields: Send, recipients: &[u64], greeting: &str, out: &mut [u8]) -> usize {
        fields.recipients = recipients.len() as u8;
        fields.greeting_len = greeting.len() as u8;
        let mut at = fields.put(out);
        for user in recipients {
            user.put(&mut out[at..]);
            at += 8;
        }
        out[at..at + greeting.len()].copy_from_slice(greeting.as_bytes());
        at + greeting.len()
    }
}

layout! {
    /// The packet is made.
    Sent = Sent {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// As asked.
        request: u64,
        /// The packet's id: its SET in the high 16 bits.
        packet: u64,
        /// The sender's balance after it.
        balance_fen: u64,
    }
}

layout! {
    /// Take a share.
    Grab = Grab {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// The user's request number.
        request: u64,
        /// The packet's id.
        packet: u64,
    }
}

layout! {
    /// The share is yours.
    Grabbed = Grabbed {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// As asked.
        request: u64,
        /// As asked.
        packet: u64,
        /// The share.
        share_fen: u64,
        /// The taker's balance after it.
        balance_fen: u64,
    }
}

layout! {
    /// A typed refusal.
    Refused = Refused {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// New for each transmission.
        counter: u64,
        /// As asked.
        request: u64,
        /// A [`Refusal`].
        refusal: u8,
        /// The kind that is refused.
        kind: u8,
        /// With *busy*: how long to wait.
        retry_after_ms: u16,
        /// With *already yours*: the share. Else 0.
        share_fen: u32,
    }
}
