//! The stateless cookie of a log-in: proof that a stranger receives at the address it sends from.
//!
//! The pattern of RFC 9018: time in clear, then SipHash-2-4 over server, time, address and client nonce. The secret
//! changes every [`COOKIE_ROTATE_S`] seconds and is derived from one master, so that all workers and the kernel agree
//! without talking; the secrets of the running and the past period are both alive.

use crate::key::{Key, sip_words};
use crate::limits::{COOKIE_LIFE_S, COOKIE_ROTATE_S};
use crate::reason::Reason;
use crate::wire::{Origin, bytes_of};

/// Bytes of a cookie: time in seconds (4), hash (8).
pub const COOKIE_LEN: usize = 12;
/// A cookie as it travels.
pub type Cookie = [u8; COOKIE_LEN];

/// Makes and checks cookies for one server.
#[derive(Clone, Copy)]
pub struct Baker {
    master: Key,
    server: u32,
}

impl Baker {
    /// `master` is drawn at start and never leaves the server; `server` is the server's number in a cluster.
    pub const fn new(master: Key, server: u32) -> Self {
        Self { master, server }
    }

    /// The cookie for a client at `unix_s`, in seconds.
    #[inline(always)]
    pub fn bake(&self, from: &Origin, client_nonce: u64, unix_s: u32) -> Cookie {
        let [t0, t1, t2, t3] = unix_s.to_le_bytes();
        let [h0, h1, h2, h3, h4, h5, h6, h7] = self.hash(from, client_nonce, unix_s).to_le_bytes();
        [t0, t1, t2, t3, h0, h1, h2, h3, h4, h5, h6, h7]
    }

    /// Checks a cookie that came back at `unix_s`.
    ///
    /// # Errors
    /// [`Reason::ExpiredCookie`] when older than [`COOKIE_LIFE_S`] or from the future, [`Reason::BadCookie`] when false.
    #[inline(always)]
    pub fn check(&self, cookie: &Cookie, from: &Origin, client_nonce: u64, unix_s: u32) -> Result<(), Reason> {
        let [t0, t1, t2, t3, hash @ ..] = *cookie;
        let made_s = u32::from_le_bytes([t0, t1, t2, t3]);
        if unix_s.wrapping_sub(made_s) > COOKIE_LIFE_S {
            return Err(Reason::ExpiredCookie);
        }
        if self.hash(from, client_nonce, made_s) != u64::from_le_bytes(hash) {
            return Err(Reason::BadCookie);
        }
        Ok(())
    }

    /// The bucket, as 32 bits of a keyed hash, of the part of the network that a client is in: IPv4 /24, IPv6 /64.
    #[inline(always)]
    pub fn prefix_bucket(&self, from: &Origin) -> u32 {
        let is_v4 = from.ip[0] == 0 && from.ip[1] as u32 == 0xffff_0000;
        // Longer than what derives cookie secrets, so never the same input.
        let words = if is_v4 { [4, from.ip[1] & 0x00ff_ffff_ffff_ffff] } else { [6, from.ip[0]] };
        sip_words(&self.master, words, 0, 0) as u32
    }

    /// The hash of server, time, address and nonce, 34 bytes in that order, under the secret of the time's period.
    #[inline(always)]
    fn hash(&self, from: &Origin, client_nonce: u64, made_s: u32) -> u64 {
        let period = u64::from(made_s / COOKIE_ROTATE_S);
        let secret = [0, 1].map(|half| sip_words(&self.master, [], half | period << 8, 5));
        let words = [
            u64::from(self.server) | u64::from(made_s) << 32,
            from.ip[0],
            from.ip[1],
            u64::from(from.port) | client_nonce << 16,
        ];
        sip_words(&bytes_of(secret), words, client_nonce >> 48, 2)
    }
}
