//! The checksums of IPv4 and UDP: one's complement sums (RFC 1071), little-endian throughout.

use core::ops::Range;

use super::reply::PROTOCOL_UDP;
use super::{Network, Request, UDP_LEN, word};

/// What a UDP checksum is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sum {
    /// That of all it stands for; or absent, as it may be over IPv4.
    Whole,
    /// That of addresses and length alone: the sender left the rest to its card.
    Half,
    /// Neither, or the IP header's is false.
    False,
}

/// Do the checksums of a request's IP and UDP headers hold? Over IPv4 the one of UDP may be absent.
pub fn checksums_hold(frame: &[u8], request: &Request) -> bool {
    let udp = request.payload_offset - UDP_LEN..request.payload_offset + request.payload_len;
    udp_sum(frame, request.network, request.network_offset, udp) == Some(Sum::Whole)
}

/// What the checksum of the UDP datagram at `udp` is, behind the IP header at `at`; none when the frame is shorter.
pub(super) fn udp_sum(frame: &[u8], network: Network, at: usize, udp: Range<usize>) -> Option<Sum> {
    let header = frame.get(at..udp.start)?;
    let udp = frame.get(udp)?;
    let stated = u16::from_le_bytes([udp[6], udp[7]]);
    let addresses = match network {
        Network::V4 if fold(sum_of(header)) != 0xffff => return Some(Sum::False),
        Network::V4 if stated == 0 => return Some(Sum::Whole),
        Network::V4 => halves(word(frame, at + 12)?),
        Network::V6 if stated == 0 => return Some(Sum::False),
        Network::V6 => sum_of(frame.get(at + 8..at + 40)?),
    };
    let udp_len = (udp.len() as u16).swap_bytes();
    let pseudo = addresses + u64::from(udp_len) + (PROTOCOL_UDP << 8);
    Some(match fold(pseudo + sum_of(udp)) {
        0xffff => Sum::Whole,
        _ if stated == fold(pseudo) => Sum::Half,
        _ => Sum::False,
    })
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
