//! A table of named frames and what each is: one table for the host's parser and for the kernel's.

use rp_core::frame::{Network, Ours, Request, Verdict};
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_core::steer::set_of;

/// What the table's verdicts were written for.
pub const OURS: Ours = Ours { ports: [2015, 2016, 0, 0], sets: 256 };
const PORT: u16 = 2015;
/// A session of SET 7.
const SESSION: u32 = (3 << 22) | (7 * 4608 + 11);

/// A frame with a name.
pub struct NamedFrame {
    /// A sentence, for the failure.
    pub name: String,
    /// From the Ethernet header on, without check sequence.
    pub bytes: Vec<u8>,
    /// What it is.
    pub verdict: Verdict,
}

/// How the IP header looks.
#[derive(Clone, Copy)]
enum Ip {
    V4 { option_words: u8, fragment: u16 },
    V6 { extensions: &'static [u8] },
}

const V4: Ip = Ip::V4 { option_words: 0, fragment: 0 };
const V6: Ip = Ip::V6 { extensions: &[] };

/// A request of a kind and length, steered to SET 7 or by a SET hash.
pub fn payload(first_byte: u8, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|i| i as u8 ^ 0x5a).collect();
    for (at, byte) in [first_byte, 0].into_iter().chain(SESSION.to_le_bytes()).enumerate().take(len) {
        bytes[at] = byte;
    }
    bytes
}

fn shake() -> Vec<u8> {
    payload(Kind::Shake.first_byte(), Kind::Shake.request_length().0)
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let mut bytes = Vec::new();
    for word in [40_000, port, len, 0] {
        bytes.extend(u16::to_be_bytes(word));
    }
    bytes.extend(payload);
    bytes
}

fn frame(tags: &[u16], ip: Ip, transport: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0, 42]);
    }
    match ip {
        Ip::V4 { option_words, fragment } => {
            let header_len = 20 + 4 * option_words as usize;
            bytes.extend([0x08, 0x00, 0x45 + option_words, 0]);
            bytes.extend(((header_len + transport.len()) as u16).to_be_bytes());
            bytes.extend([0, 1]);
            bytes.extend(fragment.to_be_bytes());
            bytes.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            bytes.extend(vec![1; header_len - 20]);
        }
        Ip::V6 { extensions } => {
            // The first byte of `extensions` is the first next-header; an empty one is plain UDP.
            let (next, chain) = extensions.split_first().map_or((17, extensions), |(next, chain)| (*next, chain));
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(((chain.len() + transport.len()) as u16).to_be_bytes());
            bytes.extend([next, 64]);
            bytes.extend([0xfd; 32]);
            bytes.extend(chain);
        }
    }
    bytes.extend(transport);
    bytes
}

fn request(kind: Kind, payload: &[u8], (network, network_offset): (Network, usize), payload_offset: usize) -> Verdict {
    let head = [payload[0], payload[1], payload[2], payload[3], payload[4], payload[5]];
    let (set, payload_len) = (set_of(head, OURS.sets), payload.len());
    Verdict::Request(Request { kind, set, payload_offset, payload_len, network, network_offset })
}

fn set_bytes(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

/// Every row.
pub fn rows() -> Vec<NamedFrame> {
    let mut rows = Vec::new();
    let mut row = |name: &str, bytes: Vec<u8>, verdict: Verdict| {
        rows.push(NamedFrame { name: name.to_string(), bytes, verdict });
    };
    headers(&mut row);
    fragments(&mut row);
    false_lengths(&mut row);
    strangers(&mut row);
    kinds(&mut row);
    rows
}

type AddRow<'a> = dyn FnMut(&str, Vec<u8>, Verdict) + 'a;

fn headers(row: &mut AddRow) {
    let body = shake();
    let datagram = udp(PORT, &body);
    let shaken = |ip, offset| request(Kind::Shake, &body, ip, offset);
    row("a shake over IPv4", frame(&[], V4, &datagram), shaken((Network::V4, 14), 42));
    row("a shake to the second port", frame(&[], V4, &udp(2016, &body)), shaken((Network::V4, 14), 42));
    row("a shake over IPv6", frame(&[], V6, &datagram), shaken((Network::V6, 14), 62));
    row("a shake in a VLAN", frame(&[0x8100], V4, &datagram), shaken((Network::V4, 18), 46));
    row("a shake in a VLAN over IPv6", frame(&[0x8100], V6, &datagram), shaken((Network::V6, 18), 66));
    row("a shake in a VLAN of a VLAN", frame(&[0x88a8, 0x8100], V4, &datagram), shaken((Network::V4, 22), 50));
    row("three VLAN tags are not looked through", frame(&[0x8100; 3], V4, &datagram), Verdict::NotOurs);
    let mut padded = frame(&[], V4, &datagram);
    padded.extend([0xee; 30]);
    row("a shake padded by the card", padded, shaken((Network::V4, 14), 42));
    row("one IP option", frame(&[], Ip::V4 { option_words: 1, fragment: 0 }, &datagram), shaken((Network::V4, 14), 46));
    row(
        "all the IP options",
        frame(&[], Ip::V4 { option_words: 10, fragment: 0 }, &datagram),
        shaken((Network::V4, 14), 82),
    );
    let dont_fragment = Ip::V4 { option_words: 0, fragment: 0x4000 };
    row("do not fragment", frame(&[], dont_fragment, &datagram), shaken((Network::V4, 14), 42));
    let hop_by_hop = Ip::V6 { extensions: &[0, 17, 0, 1, 4, 0, 0, 0, 0] };
    row("an IPv6 hop-by-hop header", frame(&[], hop_by_hop, &datagram), shaken((Network::V6, 14), 70));
    let two = Ip::V6 { extensions: &[60, 43, 0, 1, 4, 0, 0, 0, 0, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] };
    row("IPv6 destination options and routing", frame(&[], two, &datagram), shaken((Network::V6, 14), 86));
    let six = Ip::V6 {
        extensions: &[
            60, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60,
            0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0,
        ],
    };
    row("six IPv6 extension headers are not looked through", frame(&[], six, &datagram), Verdict::NotOurs);
}

fn fragments(row: &mut AddRow) {
    let datagram = udp(PORT, &shake());
    let v4 = |fragment| Ip::V4 { option_words: 0, fragment };
    row("a first fragment", frame(&[], v4(0x2000), &datagram), Verdict::Drop(Reason::Fragment));
    row("a later fragment", frame(&[], v4(0x2003), &datagram), Verdict::NotOurs);
    row("the last fragment", frame(&[], v4(0x0003), &datagram), Verdict::NotOurs);
    row("a first fragment to another port", frame(&[], v4(0x2000), &udp(53, &shake())), Verdict::NotOurs);
    let first = Ip::V6 { extensions: &[44, 17, 0, 0, 1, 0, 0, 0, 9] };
    row("a first IPv6 fragment", frame(&[], first, &datagram), Verdict::Drop(Reason::Fragment));
    let atomic = Ip::V6 { extensions: &[44, 17, 0, 0, 0, 0, 0, 0, 9] };
    row("an atomic IPv6 fragment", frame(&[], atomic, &datagram), Verdict::Drop(Reason::Fragment));
    let later = Ip::V6 { extensions: &[44, 17, 0, 0, 9, 0, 0, 0, 9] };
    row("a later IPv6 fragment", frame(&[], later, &datagram), Verdict::NotOurs);
    let behind = Ip::V6 { extensions: &[0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 9] };
    row("a first IPv6 fragment behind options", frame(&[], behind, &datagram), Verdict::Drop(Reason::Fragment));
}

fn false_lengths(row: &mut AddRow) {
    let plain = frame(&[], V4, &udp(PORT, &shake()));
    let six = frame(&[], V6, &udp(PORT, &shake()));
    let bad = Verdict::Drop(Reason::BadHeader);
    row("cut in the payload", plain[..plain.len() - 1].to_vec(), bad);
    row("cut after the UDP header", plain[..42].to_vec(), bad);
    row("cut in the UDP header", plain[..41].to_vec(), Verdict::NotOurs);
    row("cut in the IP header", plain[..33].to_vec(), Verdict::NotOurs);
    row("cut in the IPv6 header", six[..61].to_vec(), Verdict::NotOurs);
    row("cut in the IPv6 payload", six[..70].to_vec(), bad);
    row("only an Ethernet header", plain[..14].to_vec(), Verdict::NotOurs);
    row("the IP length is one too many", set_bytes(plain.clone(), 16, &[0, 47]), bad);
    row("the IP length is less than its header", set_bytes(plain.clone(), 16, &[0, 19]), bad);
    row("the IP length is zero", set_bytes(plain.clone(), 16, &[0, 0]), bad);
    row("the UDP length is one too few", set_bytes(plain.clone(), 38, &[0, 25]), bad);
    row("the UDP length is zero", set_bytes(plain.clone(), 38, &[0, 0]), bad);
    row("the UDP length is 65535", set_bytes(plain.clone(), 38, &[0xff, 0xff]), bad);
    row("both lengths are 7 of UDP", set_bytes(set_bytes(plain.clone(), 16, &[0, 27]), 38, &[0, 7]), bad);
    row("the IPv6 length is zero, a jumbogram", set_bytes(six, 18, &[0, 0]), bad);
    row("an IP header of four words", set_bytes(plain.clone(), 14, &[0x44]), Verdict::NotOurs);
    row("options up to where the frame ends", set_bytes(plain, 14, &[0x4f]), Verdict::NotOurs);
}

fn strangers(row: &mut AddRow) {
    let plain = frame(&[], V4, &udp(PORT, &shake()));
    row("another port", frame(&[], V4, &udp(2014, &shake())), Verdict::NotOurs);
    row("port zero, which fills the unused places", frame(&[], V4, &udp(0, &shake())), Verdict::NotOurs);
    row("TCP", set_bytes(plain.clone(), 23, &[6]), Verdict::NotOurs);
    row("ARP", set_bytes(plain.clone(), 12, &[0x08, 0x06]), Verdict::NotOurs);
    row("IPv6 in an IPv4 frame", set_bytes(plain.clone(), 14, &[0x65]), Verdict::NotOurs);
    row("IPv4 in an IPv6 frame", set_bytes(plain, 12, &[0x86, 0xdd]), Verdict::NotOurs);
    let no_next = Ip::V6 { extensions: &[59] };
    row("IPv6 without a next header", frame(&[], no_next, &udp(PORT, &shake())), Verdict::NotOurs);
}

fn kinds(row: &mut AddRow) {
    let of = |first_byte, len| frame(&[], V4, &udp(PORT, &payload(first_byte, len)));
    let dropped = Verdict::Drop;
    row("no payload", of(0, 0), dropped(Reason::BadLength));
    row("one byte of a shake", of(Kind::Shake.first_byte(), 1), dropped(Reason::BadLength));
    row("the four bytes that killed the prototype", of(0, 4), dropped(Reason::BadVersion));
    row("another version", of(0x80 | Kind::Shake as u8, 18), dropped(Reason::BadVersion));
    row("kind zero", of(0x40, 18), dropped(Reason::UnknownKind));
    row("kind 31", of(0x40 | 31, 18), dropped(Reason::UnknownKind));
    for &kind in Kind::ALL {
        let byte = kind.first_byte();
        if !kind.is_request() {
            row(&format!("the reply {}", kind.name()), of(byte, 18), dropped(Reason::UnknownKind));
            continue;
        }
        let (min, max) = kind.request_length();
        row(&format!("{} one too short", kind.name()), of(byte, min - 1), dropped(Reason::BadLength));
        row(
            &format!("{} at its shortest", kind.name()),
            of(byte, min),
            request(kind, &payload(byte, min), (Network::V4, 14), 42),
        );
        row(
            &format!("{} at its longest", kind.name()),
            of(byte, max),
            request(kind, &payload(byte, max), (Network::V4, 14), 42),
        );
        row(&format!("{} one too long", kind.name()), of(byte, max + 1), dropped(Reason::BadLength));
    }
}
