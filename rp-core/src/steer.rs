//! Which SET a datagram belongs to, and which worker owns a SET: one rule for the kernel, the workers and the client.

use crate::kind::Kind;
use crate::limits::{SLOT_BITS, SLOTS_PER_SET, XSK_INTERFACES, XSK_QUEUES};

/// Bytes of the payload that steering reads.
pub const HEAD_LEN: usize = 6;

/// The SET hash of a user: the high 16 bits of SplitMix64's finaliser (Steele, Lea, Flood 2014) over the user id.
///
/// It travels in clear in HELLO and LOGIN so that both can be steered before anything is decrypted.
#[inline(always)]
pub const fn set_hash(user: u64) -> u16 {
    let mut x = user.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 48) as u16
}

/// The SET of a SET hash, of `sets`: the hash scaled to the range, in 32-bit arithmetic because classic BPF has no other.
#[inline(always)]
pub const fn set_of_hash(hash: u16, sets: u32) -> u32 {
    (hash as u32 * sets) >> 16
}

/// The SET of a user.
#[inline(always)]
pub const fn set_of_user(user: u64, sets: u32) -> u32 {
    set_of_hash(set_hash(user), sets)
}

/// The SET of a session id; may be one that the server does not have.
#[inline(always)]
pub const fn set_of_session(session: u32) -> u32 {
    (session & ((1 << SLOT_BITS) - 1)) / SLOTS_PER_SET as u32
}

/// The SET of a request, from the first [`HEAD_LEN`] bytes of its payload; may be one that the server does not have.
#[inline(always)]
pub const fn set_of(head: [u8; HEAD_LEN], sets: u32) -> u32 {
    let kind = head[0] & 0x3f;
    if kind == Kind::Hello as u8 || kind == Kind::Login as u8 {
        set_of_hash(u16::from_le_bytes([head[2], head[3]]), sets)
    } else {
        set_of_session(u32::from_le_bytes([head[2], head[3], head[4], head[5]]))
    }
}

/// The place of an interface's queue in the gate's table of AF_XDP sockets; none for queues beyond those that can have one.
/// Two interfaces may have the same places: the loader refuses such a pair.
#[inline(always)]
pub const fn xsk_index(interface: u32, queue: u32) -> Option<u32> {
    if queue >= XSK_QUEUES as u32 {
        return None;
    }
    Some(interface % XSK_INTERFACES as u32 * XSK_QUEUES as u32 + queue)
}

/// The worker that owns a SET. `workers` must not be zero.
#[inline(always)]
pub const fn worker_of(set: u32, workers: u32) -> u32 {
    set % workers
}
