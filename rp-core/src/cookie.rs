//! The stateless cookie of a log-in: proof that a stranger receives at the address it sends from.
//!
//! The pattern of RFC 9018: time in clear, then SipHash-2-4 over server, time, address and client nonce. The secret
//! changes every [`COOKIE_ROTATE_S`] seconds and is derived from one master, so that all workers and the kernel agree
//! without talking; the secrets of the running and the past period are both alive.

use crate::key::{Key, sip};
use crate::limits::{COOKIE_LIFE_S, COOKIE_ROTATE_S};
use crate::reason::Reason;
use crate::wire::Peer;

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
    pub fn bake(&self, peer: &Peer, client_nonce: u64, unix_s: u32) -> Cookie {
        let mut cookie = [0; COOKIE_LEN];
        cookie[..4].copy_from_slice(&unix_s.to_le_bytes());
        cookie[4..].copy_from_slice(&self.hash(peer, client_nonce, unix_s).to_le_bytes());
        cookie
    }

    /// Checks a cookie that came back at `unix_s`.
    ///
    /// # Errors
    /// [`Reason::ExpiredCookie`] when older than [`COOKIE_LIFE_S`] or from the future, [`Reason::BadCookie`] when false.
    pub fn check(&self, cookie: &Cookie, peer: &Peer, client_nonce: u64, unix_s: u32) -> Result<(), Reason> {
        let [t0, t1, t2, t3, hash @ ..] = *cookie;
        let made_s = u32::from_le_bytes([t0, t1, t2, t3]);
        if unix_s.wrapping_sub(made_s) > COOKIE_LIFE_S {
            return Err(Reason::ExpiredCookie);
        }
        if self.hash(peer, client_nonce, made_s) != u64::from_le_bytes(hash) {
            return Err(Reason::BadCookie);
        }
        Ok(())
    }

    fn hash(&self, peer: &Peer, client_nonce: u64, made_s: u32) -> u64 {
        let period = made_s / COOKIE_ROTATE_S;
        let mut secret = [0; 16];
        for (half, chunk) in secret.chunks_exact_mut(8).enumerate() {
            let [p0, p1, p2, p3] = period.to_le_bytes();
            chunk.copy_from_slice(&sip(&self.master, &[half as u8, p0, p1, p2, p3]).to_le_bytes());
        }
        let mut input = [0; 34];
        input[..4].copy_from_slice(&self.server.to_le_bytes());
        input[4..8].copy_from_slice(&made_s.to_le_bytes());
        input[8..26].copy_from_slice(&peer.bytes());
        input[26..].copy_from_slice(&client_nonce.to_le_bytes());
        sip(&secret, &input)
    }
}
