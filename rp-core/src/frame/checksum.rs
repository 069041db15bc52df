//! The checksums of IPv4 and UDP: one's complement sums (RFC 1071), little-endian throughout.

use super::reply::PROTOCOL_UDP;
use super::{Network, Request, UDP_LEN, word};

/// Do the checksums of a request's IP and UDP headers hold? Over IPv4 the one of UDP may be absent.
pub fn checksums_hold(frame: &[u8], request: &Request) -> bool {
    hold(frame, request).unwrap_or(false)
}

fn hold(frame: &[u8], request: &Request) -> Option<bool> {
    let (at, udp_at) = (request.network_offset, request.payload_offset - UDP_LEN);
    let udp = frame.get(udp_at..request.payload_offset + request.payload_len)?;
    let is_absent = udp[6..8] == [0, 0];
    let addresses = match request.network {
        Network::V4 if fold(sum_of(frame.get(at..udp_at)?)) != 0xffff => return Some(false),
        Network::V4 if is_absent => return Some(true),
        Network::V4 => halves(word(frame, at + 12)?),
        Network::V6 if is_absent => return Some(false),
        Network::V6 => sum_of(frame.get(at + 8..at + 40)?),
    };
    let udp_len = (udp.len() as u16).swap_bytes();
    Some(fold(addresses + u64::from(udp_len) + (PROTOCOL_UDP << 8) + sum_of(udp)) == 0xffff)
}

/// The sum over bytes that begin at an even place of what is summed.
pub(super) fn sum_of(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().fold(halves(u64::from_le_bytes(last)), |sum, word| sum + halves(u64::from_le_bytes(*word)))
}

/// A word as part of a one's complement sum (RFC 1071), which may be made of wider words and folded at the end. They are
/// little-endian throughout: the folded sum only changes its byte order with theirs.
#[inline(always)]
pub(super) const fn halves(word: u64) -> u64 {
    (word & 0xffff_ffff) + (word >> 32)
}

#[inline(always)]
pub(super) const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}
