//! UDP behind IPv4 with options, and behind IPv6 with extension headers.

use super::{Frame, Network, Transport};

pub(super) const IPV4_LEN: usize = 20;
pub(super) const IPV6_LEN: usize = 40;
const PROTOCOL_UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
/// Extension headers that are looked through; RFC 8200 section 4.1 recommends no more before UDP.
const EXTENSIONS_MAX: usize = 5;

#[inline(always)]
pub(super) fn find_udp_v4<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<Transport> {
    let header: [u8; IPV4_LEN] = frame.read(offset)?;
    let header_len = ((header[0] & 0x0f) as usize) * 4;
    if header[0] >> 4 != 4 || header_len < IPV4_LEN || header[9] != PROTOCOL_UDP {
        return None;
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x1fff != 0 {
        // A later fragment carries no port.
        return None;
    }
    let total_len = u16::from_be_bytes([header[2], header[3]]) as usize;
    Some(Transport {
        offset: offset + header_len,
        network: Network::V4,
        network_offset: offset,
        len: total_len.checked_sub(header_len),
        first_fragment: fragment & 0x2000 != 0,
    })
}

#[inline(always)]
pub(super) fn find_udp_v6<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<Transport> {
    let header: [u8; 8] = frame.read(offset)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let payload_len = u16::from_be_bytes([header[4], header[5]]) as usize;
    let mut next = header[6];
    let mut extensions_len = 0;
    let mut first_fragment = false;
    for _ in 0..EXTENSIONS_MAX {
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
            break;
        }
        let extension: [u8; 4] = frame.read(offset + IPV6_LEN + extensions_len)?;
        if next == FRAGMENT {
            if u16::from_be_bytes([extension[2], extension[3]]) & 0xfff8 != 0 {
                return None;
            }
            // Also the "atomic" fragment of RFC 6946, first and last at once: no client of ours makes one.
            first_fragment = true;
            extensions_len += 8;
        } else {
            extensions_len += (extension[1] as usize + 1) * 8;
        }
        next = extension[0];
    }
    if next != PROTOCOL_UDP {
        return None;
    }
    Some(Transport {
        offset: offset + IPV6_LEN + extensions_len,
        network: Network::V6,
        network_offset: offset,
        len: payload_len.checked_sub(extensions_len),
        first_fragment,
    })
}
