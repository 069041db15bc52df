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
