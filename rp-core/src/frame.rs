//! What an Ethernet frame is to us: not ours, a drop with a reason, or a request of a kind for a SET.
//!
//! One parser for the gate (XDP), the kernel tests and the fuzzer: pointers stay behind [`Frame`], so the kernel program
//! and the host cannot disagree. It looks at headers, at the first byte and at the six bytes that steering reads, and at
//! nothing behind them. Lengths are those of the IP and UDP headers: cards pad frames under 60 bytes.
//!
//! A frame is one datagram. A skb-mode gate may see a GSO batch unsplit, as one long datagram, and drops it by its
//! length: clients send no batches where such a gate listens. Before a driver-mode gate the kernel splits them.

mod checksum;
mod envelope;
mod ip;
mod reply;

pub use checksum::checksums_hold;
pub use envelope::{ENVELOPE_MAX, Ends, Envelope, ends, ends_of, payload_of};
pub(crate) use reply::word;
pub use reply::{FrameMut, Payload, receiver, sender, turn};

use crate::kind::{Kind, request_of};
use crate::limits::PORTS_MAX;
use crate::reason::Reason;
use crate::steer::{HEAD_LEN, set_of};

/// Bytes of an Ethernet header.
pub const ETHERNET_LEN: usize = 14;
/// Bytes of a UDP header.
pub const UDP_LEN: usize = 8;
/// VLAN tags that are looked through: 802.1Q inside 802.1ad.
pub const VLAN_TAGS_MAX: usize = 2;

/// Of an Ethernet address' first byte: it is that of a group, or of all.
const GROUP_BIT: u8 = 1;
const ETHER_VLAN: u16 = 0x8100;
const ETHER_QINQ: u16 = 0x88a8;
const ETHER_IPV4: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;

/// The bytes of a frame, wherever they lie.
pub trait Frame {
    /// `N` bytes from `offset`, or none when the frame ends before.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
    /// Bytes of the frame.
    fn frame_len(&self) -> usize;
}

impl Frame for [u8] {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }

    #[inline(always)]
    fn frame_len(&self) -> usize {
        self.len()
    }
}

/// What decides besides the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ours {
    /// UDP ports of the service; zero is none.
    pub ports: [u16; PORTS_MAX],
    /// SETs of the server.
    pub sets: u32,
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Passes untouched.
    NotOurs,
    /// For our port, and false.
    Drop(Reason),
    /// A request.
    Request(Request),
}

/// A frame that holds a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// By its first byte and its length.
    pub kind: Kind,
    /// The SET it is for; may be one that the server does not have.
    pub set: u32,
    /// Where the UDP payload begins in the frame.
    pub payload_offset: usize,
    /// Bytes of the UDP payload.
    pub payload_len: usize,
    /// Which IP.
    pub network: Network,
    /// Where the IP header begins in the frame.
    pub network_offset: usize,
}

/// An IP protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Request {
    /// Is the IP header without options or extensions? Only such a frame can be turned into its answer.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        let header_len = match self.network {
            Network::V4 => ip::IPV4_LEN,
            Network::V6 => ip::IPV6_LEN,
        };
        self.payload_offset == self.network_offset + header_len + UDP_LEN
    }
}

/// Went the frame to one machine alone? What went to many must not be answered from their common address.
#[inline(always)]
pub fn is_for_one<F: Frame + ?Sized>(frame: &F) -> bool {
    matches!(frame.read(0), Some([first, _]) if first & GROUP_BIT == 0)
}

/// Where UDP begins, as the IP header has it.
#[derive(Clone, Copy)]
struct Transport {
    /// Offset of the UDP header in the frame.
    offset: usize,
    network: Network,
    /// Offset of the IP header in the frame.
    network_offset: usize,
    /// Bytes behind the IP header (and its extensions), by that header; none when it is less than itself.
    len: Option<usize>,
    /// The first fragment of several.
    first_fragment: bool,
}

/// Says what a frame is.
#[inline(always)]
pub fn classify<F: Frame + ?Sized>(frame: &F, ours: &Ours) -> Verdict {
    let Some(transport) = find_udp(frame) else { return Verdict::NotOurs };
    let Some(udp) = frame.read::<UDP_LEN>(transport.offset) else { return Verdict::NotOurs };
    if !is_our_port(u16::from_be_bytes([udp[2], udp[3]]), ours) {
        return Verdict::NotOurs;
    }
    if transport.first_fragment {
        return Verdict::Drop(Reason::Fragment);
    }
    // Both headers agree, and the frame holds what they promise. No surplus after UDP either: a worker could not see it.
    let udp_len = u16::from_be_bytes([udp[4], udp[5]]) as usize;
    if transport.len != Some(udp_len) || udp_len < UDP_LEN || frame.frame_len() < transport.offset + udp_len {
        return Verdict::Drop(Reason::BadHeader);
    }
    name_request(frame, &transport, udp_len - UDP_LEN, ours)
}

#[inline(always)]
fn name_request<F: Frame + ?Sized>(frame: &F, transport: &Transport, payload_len: usize, ours: &Ours) -> Verdict {
    let payload_offset = transport.offset + UDP_LEN;
    if payload_len == 0 {
        return Verdict::Drop(Reason::BadLength);
    }
    // The byte before comes along: from a comparison for a single byte the verifier learns nothing.
    let Some([_, first_byte]) = frame.read(payload_offset - 1) else { return Verdict::Drop(Reason::BadHeader) };
    let kind = match request_of(first_byte, payload_len) {
        Ok(kind) => kind,
        Err(reason) => return Verdict::Drop(reason),
    };
    // No kind is shorter than its head, so this reads inside the payload.
    let Some(head) = frame.read::<HEAD_LEN>(payload_offset) else { return Verdict::Drop(Reason::BadHeader) };
    let Transport { network, network_offset, .. } = *transport;
    let set = set_of(head, ours.sets);
    Verdict::Request(Request { kind, set, payload_offset, payload_len, network, network_offset })
}

/// Finds the UDP header; none when the frame holds no readable UDP over IP, or a later fragment.
#[inline(always)]
fn find_udp<F: Frame + ?Sized>(frame: &F) -> Option<Transport> {
    let mut ether_type = u16::from_be_bytes(frame.read(ETHERNET_LEN - 2)?);
    let mut offset = ETHERNET_LEN;
    for _ in 0..VLAN_TAGS_MAX {
        if ether_type != ETHER_VLAN && ether_type != ETHER_QINQ {
            break;
        }
        ether_type = u16::from_be_bytes(frame.read(offset + 2)?);
        offset += 4;
    }
    match ether_type {
        ETHER_IPV4 => ip::find_udp_v4(frame, offset),
        ETHER_IPV6 => ip::find_udp_v6(frame, offset),
        _ => None,
    }
}

#[inline(always)]
fn is_our_port(port: u16, ours: &Ours) -> bool {
    // Written out, since a loop over a table in BPF becomes one over the stack.
    const _: () = assert!(PORTS_MAX == 4);
    let [a, b, c, d] = ours.ports;
    port != 0 && (port == a || port == b || port == c || port == d)
}
