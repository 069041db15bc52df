//! Tickets of the account service: who a user is, sealed under a realm key (XChaCha20-Poly1305).
//!
//! A ticket is opened without any state and without public-key work, so a million log-ins cost seconds.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

use crate::key::Key;
use crate::wire::{Field, TICKET_LEN};

/// A ticket as it travels: realm key id 4, nonce 24, sealed 40, AEAD tag 16.
pub type Sealed = [u8; TICKET_LEN];

const NONCE_AT: usize = 4;
const BODY_AT: usize = 28;
const TAG_AT: usize = 68;

/// The role of an ordinary user.
pub const ROLE_USER: u8 = 0;
/// The role that may ask for the server's totals.
pub const ROLE_AUDITOR: u8 = 1;

/// A key shared by the account service and the servers, with the number that tickets name it by.
#[derive(Clone)]
pub struct Realm {
    /// The number in the ticket.
    pub id: u32,
    cipher: XChaCha20Poly1305,
}

/// What a ticket says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The user.
    pub user: u64,
    /// The secret that the user and the account service share.
    pub secret: Key,
    /// Seconds since 1970 when it was issued.
    pub issued_s: u32,
    /// Seconds since 1970 from which it is void.
    pub expires_s: u32,
    /// [`ROLE_USER`] or [`ROLE_AUDITOR`].
    pub role: u8,
}

impl Realm {
    /// A realm from its id and key.
    pub fn new(id: u32, key: &[u8; 32]) -> Self {
        Self { id, cipher: XChaCha20Poly1305::new(key.into()) }
    }

    /// Seals a ticket. `nonce` must be drawn at random for each.
    pub fn seal(&self, ticket: &Ticket, nonce: &[u8; 24]) -> Sealed {
        let mut out = [0; TICKET_LEN];
        self.id.put(&mut out);
        nonce.put(&mut out[NONCE_AT..]);
        let (head, body) = out.split_at_mut(BODY_AT);
        ticket.user.put(body);
        ticket.secret.put(&mut body[8..]);
        ticket.issued_s.put(&mut body[24..]);
        ticket.expires_s.put(&mut body[28..]);
        ticket.role.put(&mut body[32..]);
        let (plain, rest) = body.split_at_mut(TAG_AT - BODY_AT);
        let tag = self
            .cipher
            .encrypt_in_place_detached(XNonce::from_slice(nonce), &head[..NONCE_AT], plain)
            .expect("40 bytes are far below the cipher's limit");
        rest.copy_from_slice(&tag);
        out
    }

    /// Opens a ticket; `None` when it is not of this realm or was tampered with. Times are the caller's to judge.
    pub fn open(&self, sealed: &Sealed) -> Option<Ticket> {
        if <u32 as Field>::take(sealed) != self.id {
            return None;
        }
        let mut plain = [0; TAG_AT - BODY_AT];
        plain.copy_from_slice(&sealed[BODY_AT..TAG_AT]);
        self.cipher
            .decrypt_in_place_detached(
                XNonce::from_slice(&sealed[NONCE_AT..BODY_AT]),
                &sealed[..NONCE_AT],
                &mut plain,
                Tag::from_slice(&sealed[TAG_AT..]),
            )
            .ok()?;
        Some(Ticket {
            user: Field::take(&plain),
            secret: Field::take(&plain[8..]),
            issued_s: Field::take(&plain[24..]),
            expires_s: Field::take(&plain[28..]),
            role: plain[32],
        })
    }
}

/// A realm's id and key as its file holds them: one line, the id in decimal, a space, the key in 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RealmKey {
    /// The number that tickets name the realm by.
    pub id: u32,
    /// The secret of the realm.
    pub key: [u8; 32],
}

impl RealmKey {
    /// Reads the line; white space around it does not matter. `None` when it is anything else.
    pub fn parse(line: &str) -> Option<Self> {
        let (id, hex) = line.trim().split_once(' ')?;
        let digits = hex.as_bytes();
        if digits.len() != 64 || !id.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high << 4 | low) as u8;
        }
        Some(Self { id: id.parse().ok()?, key })
    }

    /// The realm that this key opens and seals tickets of.
    pub fn realm(&self) -> Realm {
        Realm::new(self.id, &self.key)
    }
}

impl core::fmt::Display for RealmKey {
    /// Writes the line, without an end of line.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ", self.id)?;
        self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_key_survives_its_line() {
        let mut key = [0; 32];
        for (i, byte) in key.iter_mut().enumerate() {
            *byte = (i * 37) as u8;
        }
        let made = RealmKey { id: 7, key };
        let read = RealmKey::parse(&made.to_string()).expect("our own line");
        assert!(read == made);
        assert!(RealmKey::parse(&alloc::format!(" {made}\r\n")).expect("white space around") == made);
    }

    #[test]
    fn anything_else_is_no_key() {
        let good = RealmKey { id: 1, key: [0xab; 32] }.to_string();
        let long = good.clone() + "0";
        let foreign = good.replace('a', "g");
        for line in
            ["", "1", "1 ", "x", &good[1..], &good[..good.len() - 1], &long, &foreign, &("+".to_string() + &good)]
        {
            assert!(RealmKey::parse(line).is_none(), "{line}");
        }
    }
}
