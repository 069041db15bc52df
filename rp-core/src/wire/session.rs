//! What a session says besides money: SHAKE and its answers, PING, BYE, ECHO, TOTALS.

use super::TAG_LEN;
use super::layout::layout;
use crate::kind::Kind;

/// Bytes of SHAKE and NOTHING, of BUSY, BYE, GOODBYE, ECHO, ECHOED, PATH CHALLENGE and TOTALS: with 14 of Ethernet, 20 of
/// IPv4, 8 of UDP and 4 of checksum, the smallest Ethernet frame.
pub const SHAKE_LEN: usize = SessionHead::LEN + TAG_LEN;
/// Bytes of an UNKNOWN SESSION: a head without a tag.
pub const UNKNOWN_SESSION_LEN: usize = SessionHead::LEN;
const _: () = assert!(SHAKE_LEN == 18);

layout! {
    /// The head that SHAKE, PING, BYE, ECHO, TOTALS and their answers share. The first byte is the caller's.
    SessionHead = Shake {
        /// Zero; in a BUSY, tenths of a second to wait.
        flags: u8,
        /// The session id.
        session: u32,
        /// The session's sequence, rising; in ECHO and PATH CHALLENGE the path token.
        sequence: u32,
    }
}

impl SessionHead {
    /// Writes a tagged datagram that is nothing but this head.
    #[inline]
    pub fn put_tagged(&self, kind: Kind, key: &crate::key::Key, out: &mut [u8]) -> usize {
        let len = self.put_untagged(kind, out);
        crate::key::seal(key, out, len)
    }

    /// Writes the head alone, as kind `kind`.
    #[inline]
    pub fn put_untagged(&self, kind: Kind, out: &mut [u8]) -> usize {
        out[0] = kind.first_byte();
        self.put_fields(out)
    }
}

layout! {
    /// Alive? Tagged.
    Ping = Ping {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// The session's sequence.
        sequence: u32,
        /// The client's time, echoed.
        client_time_us: u64,
    }
}

layout! {
    /// Alive. Tagged.
    Pong = Pong {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// As asked.
        sequence: u32,
        /// As asked.
        client_time_us: u64,
        /// Microseconds since 1970 at the server.
        server_time_us: u64,
    }
}

/// Words of a TOTALS ARE; their order is [`TotalsAre`]'s.
pub const TOTALS_WORDS: usize = 96;

layout! {
    /// The server's totals for the address that asks, and its money. Tagged, and laid out like all that bears money.
    ///
    /// The words, 64 bits each: 0..32 requests received from the address, by kind number; 32..64 replies and notices sent
    /// to it, by kind number less 32; 64 of the received, dropped with a reason; 65 of the received, accepted without a
    /// reply due at once; 66 prizes won (count), 67 (fen); 68 packets sent, 69 (fen); 70 shares taken, 71 (fen);
    /// 72 sessions open. Of the whole server: 80 issued (fen), 81 held by users, 82 in open packets, 83 in campaigns,
    /// 84 in transit; 85 packets made (count), 86 (fen); 87 shares taken (count), 88 (fen); 89 packets refunded, 90 (fen);
    /// 91 packets open, 92 (fen). The rest is zero.
    TotalsAre = TotalsAre {
        /// Zero.
        flags: u8,
        /// The session id.
        session: u32,
        /// The server's counter of this session, new for each transmission.
        counter: u64,
        /// As asked.
        sequence: u32,
        /// See above.
        words: [u8; 8 * TOTALS_WORDS],
    }
}
