//! The envelope that datagrams leave in past the stack, and what stands on one that comes.
//!
//! A client's are made once for each socket; lengths and checksums are made for each datagram.

use core::ops::Range;

use super::checksum::{Sum, fold, sum_of, udp_sum};
use super::ip::{IPV4_LEN, IPV6_LEN};
use super::reply::PROTOCOL_UDP;
use super::{ETHER_IPV4, ETHER_IPV6, ETHERNET_LEN, Frame, Network, UDP_LEN, find_udp, word};
use crate::wire::Origin;

/// Bytes of the longest envelope.
pub const ENVELOPE_MAX: usize = ETHERNET_LEN + IPV6_LEN + UDP_LEN;
const HOPS: u8 = 64;

/// Who speaks to whom: the sender's address and the receiver's, and both ports, the sender's above.
pub type Ends = [u64; 5];

/// The ends of what `from` sends to `to`.
pub fn ends(from: &Origin, to: &Origin) -> Ends {
    [from.ip[0], from.ip[1], to.ip[0], to.ip[1], u64::from(from.port) << 16 | u64::from(to.port)]
}

/// The ends of a frame; none when it is not one whole datagram behind plain headers.
#[inline(always)]
pub fn ends_of<F: Frame + ?Sized>(frame: &F) -> Option<Ends> {
    let [e0, e1, version, _]: [u8; 4] = frame.read(ETHERNET_LEN - 2)?;
    let at = ETHERNET_LEN;
    match (u16::from_be_bytes([e0, e1]), version) {
        (ETHER_IPV4, 0x45) => {
            // Fragment and its offset, hops, protocol.
            let [f0, f1, _, protocol]: [u8; 4] = frame.read(at + 6)?;
            let addresses = word(frame, at + 12)?;
            let mapped = |v4: u64| 0xffff_0000 | v4 << 32;
            let ports = ports(frame, at + IPV4_LEN)?;
            let is_ours = f0 & 0x3f == 0 && f1 == 0 && u64::from(protocol) == PROTOCOL_UDP;
            is_ours.then_some([0, mapped(addresses & 0xffff_ffff), 0, mapped(addresses >> 32), ports])
        }
        (ETHER_IPV6, 0x60..=0x6f) => {
            let [next, _]: [u8; 2] = frame.read(at + 6)?;
            let from = [word(frame, at + 8)?, word(frame, at + 16)?];
            let to = [word(frame, at + 24)?, word(frame, at + 32)?];
            let ports = ports(frame, at + IPV6_LEN)?;
            (u64::from(next) == PROTOCOL_UDP).then_some([from[0], from[1], to[0], to[1], ports])
        }
        _ => None,
    }
}

#[inline(always)]
fn ports<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<u64> {
    frame.read(at).map(|ports| u64::from(u32::from_be_bytes(ports)))
}

/// Where the payload of such a frame lies; none when its lengths or its checksums are false.
///
/// Half a checksum, that of addresses and length alone, is as good as a whole one: a sender on this machine leaves the rest to
/// a card, and between the two there is none.
pub fn payload_of(frame: &[u8]) -> Option<Range<usize>> {
    let transport = find_udp(frame)?;
    let at = transport.offset;
    let udp_len = u16::from_be_bytes(frame.read(at + 4)?) as usize;
    if transport.len != Some(udp_len) || udp_len < UDP_LEN || frame.len() < at + udp_len {
        return None;
    }
    let sum = udp_sum(frame, transport.network, transport.network_offset, at..at + udp_len)?;
    matches!(sum, Sum::Whole | Sum::Half).then_some(at + UDP_LEN..at + udp_len)
}

/// The headers of all datagrams from one socket.
#[derive(Clone, Debug)]
pub struct Envelope {
    head: [u8; ENVELOPE_MAX],
    len: usize,
    network: Network,
    /// Of what no datagram changes: addresses, protocol, ports.
    sum: u64,
}

impl Envelope {
    /// For datagrams from one address to another of the same family, which the receiver's tells, between two Ethernet addresses,
    /// the sender's first.
    pub fn new(macs: [[u8; 6]; 2], from: &Origin, to: &Origin) -> Envelope {
        let mut head = [0; ENVELOPE_MAX];
        head[..6].copy_from_slice(&macs[1]);
        head[6..12].copy_from_slice(&macs[0]);
        let (source, destination) = (from.ip_bytes(), to.ip_bytes());
        let is_v4 = to.ip[0] == 0 && to.ip[1] & 0xffff_ffff == 0xffff_0000;
        let (ip, ether_type, addresses) = if is_v4 {
            let ip = &mut head[ETHERNET_LEN..];
            // Version and length; not to be fragmented.
            (ip[0], ip[6], ip[8], ip[9]) = (0x45, 0x40, HOPS, PROTOCOL_UDP as u8);
            ip[12..16].copy_from_slice(&source[12..]);
            ip[16..20].copy_from_slice(&destination[12..]);
            (IPV4_LEN, ETHER_IPV4, 12..20)
        } else {
            let ip = &mut head[ETHERNET_LEN..];
            (ip[0], ip[6], ip[7]) = (0x60, PROTOCOL_UDP as u8, HOPS);
            ip[8..24].copy_from_slice(&source);
            ip[24..40].copy_from_slice(&destination);
            (IPV6_LEN, ETHER_IPV6, 8..40)
        };
        head[12..14].copy_from_slice(&ether_type.to_be_bytes());
        let udp = ETHERNET_LEN + ip;
        head[udp..udp + 2].copy_from_slice(&from.port.to_be_bytes());
        head[udp + 2..udp + 4].copy_from_slice(&to.port.to_be_bytes());
        let addresses = &head[ETHERNET_LEN + addresses.start..ETHERNET_LEN + addresses.end];
        let sum = sum_of(addresses) + (PROTOCOL_UDP << 8) + sum_of(&head[udp..udp + 4]);
        Envelope { head, len: udp + UDP_LEN, network: if is_v4 { Network::V4 } else { Network::V6 }, sum }
    }

    /// Bytes before the payload.
    pub fn head_len(&self) -> usize {
        self.len
    }

    /// Puts the headers before the payload of so many bytes, which is in its place already. Returns the length of the frame;
    /// none when there is no room for it.
    pub fn close(&self, frame: &mut [u8], payload_len: usize) -> Option<usize> {
        let (head, payload) = frame.get_mut(..self.len + payload_len)?.split_at_mut(self.len);
        head.copy_from_slice(&self.head[..self.len]);
        let udp_len = ((UDP_LEN + payload_len) as u16).to_be_bytes();
        let at = ETHERNET_LEN;
        match self.network {
            Network::V4 => {
                head[at + 2..at + 4].copy_from_slice(&((IPV4_LEN + UDP_LEN + payload_len) as u16).to_be_bytes());
                let checksum = !fold(sum_of(&head[at..at + IPV4_LEN]));
                head[at + 10..at + 12].copy_from_slice(&checksum.to_le_bytes());
            }
            Network::V6 => head[at + 4..at + 6].copy_from_slice(&udp_len),
        }
        // The length counts twice: as UDP's own, and with the addresses.
        let sum = self.sum + 2 * u64::from(u16::from_le_bytes(udp_len)) + sum_of(payload);
        let checksum = match !fold(sum) {
            // Zero would say that there is none.
            0 => 0xffff,
            checksum => checksum,
        };
        head[self.len - 4..self.len - 2].copy_from_slice(&udp_len);
        head[self.len - 2..].copy_from_slice(&checksum.to_le_bytes());
        Some(self.len + payload_len)
    }
}
