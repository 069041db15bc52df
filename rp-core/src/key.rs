//! Session keys and datagram tags: SipHash-2-4 (Aumasson, Bernstein 2012) with 64-bit output.

use core::hash::Hasher;
use siphasher::sip::SipHasher24;

use crate::wire::{bytes_of, words_of};

/// A SipHash key.
pub type Key = [u8; 16];

/// The key that what bears money is sealed under in one session, both ways.
pub type SealingKey = [u8; 32];

/// Labels that keep the uses of one secret apart: the first byte of what is hashed.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Label {
    TagLow = 0,
    TagHigh = 1,
    SealFirst = 2,
    SealSecond = 3,
    SealThird = 4,
    SealFourth = 5,
    PathToken = 6,
}

/// SipHash-2-4 of `bytes` under `key`.
#[inline(always)]
pub fn sip(key: &Key, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(bytes);
    hasher.finish()
}

/// SipHash-2-4 under `key` of `words`, little-endian, and of the `rest_len` low bytes of `rest`, fewer than eight.
///
/// The same as [`sip`] over the same bytes, in registers alone: the kernel programs have no stack for more, and their
/// verifier no patience with lengths that it does not know.
#[inline(always)]
pub fn sip_words<const WORDS: usize>(key: &Key, words: [u64; WORDS], rest: u64, rest_len: usize) -> u64 {
    let [k0, k1] = words_of(key);
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    for word in words {
        absorb(&mut v, word);
    }
    absorb(&mut v, rest | ((8 * WORDS + rest_len) as u64) << 56);
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// The key of a session's tags, both ways: two hashes of its own, as `derive` makes them.
pub fn session_key(secret: &Key, client_nonce: u64, server_nonce: u64, session: u32) -> Key {
    bytes_of(derive([Label::TagLow, Label::TagHigh], secret, client_nonce, server_nonce, session))
}

/// The key that a session's money is sealed under: four hashes of its own, as `derive` makes them.
pub fn sealing_key(secret: &Key, client_nonce: u64, server_nonce: u64, session: u32) -> SealingKey {
    let labels = [Label::SealFirst, Label::SealSecond, Label::SealThird, Label::SealFourth];
    let mut key = [0; 32];
    for (part, word) in key.chunks_exact_mut(8).zip(derive(labels, secret, client_nonce, server_nonce, session)) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    key
}

/// For each label the SipHash of it, of both nonces and of the session id, under the ticket's secret: 21 bytes, in words.
fn derive<const WORDS: usize>(
    labels: [Label; WORDS],
    secret: &Key,
    client_nonce: u64,
    server_nonce: u64,
    session: u32,
) -> [u64; WORDS] {
    let (first, second) = (client_nonce << 8, client_nonce >> 56 | server_nonce << 8);
    let rest = server_nonce >> 56 | u64::from(session) << 8;
    labels.map(|label| sip_words(secret, [first | label as u64, second], rest, 5))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hash_as_bytes_do() {
        let key: Key = core::array::from_fn(|i| i as u8);
        let bytes: [u8; 40] = core::array::from_fn(|i| (i as u8).wrapping_mul(37) ^ 0x80);
        let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight bytes"));
        for rest_len in 0..8 {
            let rest = |at| word(at) & ((1u64 << (8 * rest_len)) - 1);
            assert_eq!(sip_words(&key, [], rest(0), rest_len), sip(&key, &bytes[..rest_len]));
            assert_eq!(sip_words(&key, [word(0)], rest(8), rest_len), sip(&key, &bytes[..8 + rest_len]));
            let four = [0, 8, 16, 24].map(word);
            assert_eq!(sip_words(&key, four, rest(32), rest_len), sip(&key, &bytes[..32 + rest_len]));
        }
    }
}
