//! Session keys and datagram tags: SipHash-2-4 (Aumasson, Bernstein 2012) with 64-bit output.

use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// A SipHash key.
pub type Key = [u8; 16];

/// Labels that keep the uses of one secret apart: the first byte of what is hashed.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Label {
    TagLow = 0,
    TagHigh = 1,
    PathToken = 6,
}

/// SipHash-2-4 of `bytes` under `key`.
#[inline(always)]
pub fn sip(key: &Key, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(bytes);
    hasher.finish()
}

/// The key of a session's tags, both ways: SipHash of a label, both nonces and the session id under the ticket's secret.
///
/// Labels 2 ..= 5 are kept for the 256-bit sealing key.
pub fn session_key(secret: &Key, client_nonce: u64, server_nonce: u64, session: u32) -> Key {
    let mut input = [0; 21];
    input[1..9].copy_from_slice(&client_nonce.to_le_bytes());
    input[9..17].copy_from_slice(&server_nonce.to_le_bytes());
    input[17..21].copy_from_slice(&session.to_le_bytes());
    let mut key = [0; 16];
    input[0] = Label::TagLow as u8;
    key[..8].copy_from_slice(&sip(secret, &input).to_le_bytes());
    input[0] = Label::TagHigh as u8;
    key[8..].copy_from_slice(&sip(secret, &input).to_le_bytes());
    key
}

/// The token that a session must echo from a new address: 32 bits, so that the challenge is no longer than a shake.
///
/// `epoch` is a count of half minutes; the echo is good in its own and the next. Guessing is no way in: the echo is
/// tagged under the session's key, which only the session's client has.
pub fn path_token(key: &Key, address: &[u8; 18], epoch: u32) -> u32 {
    let mut input = [0; 23];
    input[0] = Label::PathToken as u8;
    input[1..19].copy_from_slice(address);
    input[19..].copy_from_slice(&epoch.to_le_bytes());
    sip(key, &input) as u32
}

/// Appends the tag over `out[..len]` and returns the new length. `out` must have room for it.
#[inline]
pub fn seal(key: &Key, out: &mut [u8], len: usize) -> usize {
    let tag = sip(key, &out[..len]);
    out[len..len + 8].copy_from_slice(&tag.to_le_bytes());
    len + 8
}

/// Does the datagram end in the tag over all that precedes it?
///
/// The comparison is of two words, so its time does not tell how many bytes were right.
#[inline]
pub fn verifies(key: &Key, datagram: &[u8]) -> bool {
    let Some((body, tag)) = datagram.split_last_chunk::<8>() else {
        return false;
    };
    sip(key, body) == u64::from_le_bytes(*tag)
}
