//! The layout of every datagram: little-endian, fixed fields, at most one counted tail. docs/PROTOCOL.md is its prose.
//!
//! Encoding writes into the caller's buffer and cannot fail on one of [`DATAGRAM_MAX`](crate::limits::DATAGRAM_MAX)
//! bytes; decoding reads fields only. Tags are made and checked by [`key`](crate::key), seals by `sealing`, lengths by
//! [`request_of`](crate::kind::request_of).

mod layout;
mod login;
mod money;
mod notice;
mod reading;
mod session;

pub use layout::Field;
pub use login::{CHALLENGE_LEN, Challenge, HELLO_LEN, Hello, Login, LoginRefused, TICKET_LEN, Welcome};
pub use money::{
    AUDIENCE_LISTED, AUDIENCE_SET, Grab, Grabbed, Refusal, Refused, SPLIT_EQUAL, SPLIT_RANDOM, Send, SendView, Sent,
};
pub use notice::{Notice, NoticeAck, NoticeType, Prize};
pub use reading::{Balance, BalanceIs, Detail, DetailPage, History, HistoryPage, HistoryRow, PacketState, ShareRow};
pub use session::{Ping, Pong, SHAKE_LEN, SessionHead, TOTALS_WORDS, TotalsAre, UNKNOWN_SESSION_LEN};

/// Bytes of a tag.
pub const TAG_LEN: usize = 8;
/// Bytes of the AEAD tag in every datagram that bears money; zero while [`FLAG_SEALED`] is clear.
pub const SEAL_LEN: usize = 16;
/// What follows the body of a datagram that bears money: seal, then tag.
pub const TRAILER: usize = SEAL_LEN + TAG_LEN;
/// In the flags of a datagram that bears money: its body is sealed; of a WELCOME: so it must be in this session, both ways.
pub const FLAG_SEALED: u8 = 1;

/// Where a datagram came from: an IPv6 address, or an IPv4 address mapped into one, and a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Peer {
    /// Address, network order; IPv4 as `::ffff:a.b.c.d`.
    pub ip: [u8; 16],
    /// UDP port.
    pub port: u16,
}

impl Peer {
    /// Address and port (little-endian) in 18 bytes, as cookies and path tokens hash them.
    pub const fn bytes(&self) -> [u8; 18] {
        let mut out = [0; 18];
        let mut i = 0;
        while i < 16 {
            out[i] = self.ip[i];
            i += 1;
        }
        [out[16], out[17]] = self.port.to_le_bytes();
        out
    }
}

/// Sixteen bytes as two words, little-endian: addresses and keys as the kernel handles them.
#[inline(always)]
pub fn words_of(bytes: &[u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, last @ ..] = *bytes;
    [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(last)]
}

/// The same the other way.
#[inline(always)]
pub fn bytes_of(words: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&words[0].to_le_bytes());
    bytes[8..].copy_from_slice(&words[1].to_le_bytes());
    bytes
}

/// A [`Peer`] in words, as the kernel compares and hashes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The address, IPv4 mapped into IPv6; network order, read as little-endian.
    pub ip: [u64; 2],
    /// UDP port.
    pub port: u16,
}

impl Origin {
    /// The address in bytes.
    #[inline(always)]
    pub fn ip_bytes(&self) -> [u8; 16] {
        bytes_of(self.ip)
    }
}

impl From<&Peer> for Origin {
    #[inline(always)]
    fn from(peer: &Peer) -> Origin {
        Origin { ip: words_of(&peer.ip), port: peer.port }
    }
}
