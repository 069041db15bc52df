//! What bears money, sealed: ChaCha20-Poly1305 (RFC 8439) over the body, between the head that travels in clear and the tag.
//!
//! The nonce is the direction and the datagram's counter, so a counter serves once in each direction under one key: whoever
//! writes a datagram takes a new one, for a repeat too. The tag of SipHash stays the last: gate and worker look at it first,
//! since it costs a tenth.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};

use crate::key::{self, Key, SealingKey};
use crate::kind::REPLY_BIT;
use crate::limits::DATAGRAM_MAX;
use crate::reason::Reason;
use crate::wire::{FLAG_SEALED, SEAL_LEN, TRAILER};

/// Where the sealed part begins: behind first byte, flags, session and counter, which are its associated data.
pub const SEALED_AT: usize = 14;
const COUNTER_AT: usize = 6;

/// Closes a datagram that bears money: sealed where there is a key for that, else with zeros in the seal's place; then the tag.
/// Returns the length. Its counter must be one that was never closed before under this key, in this direction.
pub fn close_money(key: &Key, sealing: Option<SealingKey>, out: &mut [u8], len: usize) -> usize {
    let (datagram, rest) = out.split_at_mut(len);
    let seal = &mut rest[..SEAL_LEN];
    match sealing {
        None => seal.fill(0),
        Some(sealing) => {
            datagram[1] |= FLAG_SEALED;
            let (head, body) = datagram.split_at_mut(SEALED_AT);
            let tag = ChaCha20Poly1305::new(&sealing.into()).encrypt_in_place_detached(&nonce(head), head, body);
            seal.copy_from_slice(&tag.expect("a datagram is far below the cipher's limit"));
        }
    }
    key::seal(key, out, len + SEAL_LEN)
}

/// Opens a datagram that bears money, in `room`, and returns it as it was before it was sealed, what follows its body
/// excepted. Without a key it is given back as it came. Its tag was checked by the caller.
///
/// # Errors
/// It is not sealed though there is a key, or its seal does not verify; or it is sealed and there is none.
pub fn open_money<'a>(
    sealing: Option<SealingKey>,
    datagram: &'a [u8],
    room: &'a mut [u8; DATAGRAM_MAX],
) -> Result<&'a [u8], Reason> {
    if datagram.len() < SEALED_AT + TRAILER || datagram.len() > DATAGRAM_MAX {
        return Err(Reason::BadLength);
    }
    let is_sealed = datagram[1] & FLAG_SEALED != 0;
    let sealing = match sealing {
        None if is_sealed => return Err(Reason::BadSeal),
        None => return Ok(datagram),
        Some(_) if !is_sealed => return Err(Reason::NotSealed),
        Some(sealing) => sealing,
    };
    let opened = &mut room[..datagram.len()];
    opened.copy_from_slice(datagram);
    let (head, rest) = opened.split_at_mut(SEALED_AT);
    let (body, trailer) = rest.split_at_mut(datagram.len() - SEALED_AT - TRAILER);
    ChaCha20Poly1305::new(&sealing.into())
        .decrypt_in_place_detached(&nonce(head), head, body, Tag::from_slice(&trailer[..SEAL_LEN]))
        .map_err(|_| Reason::BadSeal)?;
    Ok(opened)
}

/// Direction, then counter: 96 bits.
fn nonce(head: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[0] = u8::from(head[0] & REPLY_BIT != 0);
    nonce[4..].copy_from_slice(&head[COUNTER_AT..SEALED_AT]);
    nonce
}
