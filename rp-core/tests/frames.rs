//! The parser on the host: the table of named frames, and every prefix and single-byte change of them.

mod named_frames;

use named_frames::{NamedFrame, OURS, rows};
use rp_core::frame::{
    Envelope, Frame, FrameMut, Network, Payload, Request, UDP_LEN, Verdict, checksums_hold, classify, ends, ends_of,
    payload_of, receiver, sender, turn,
};
use rp_core::wire::{Origin, Peer};

#[test]
fn named_frames_have_their_verdicts() {
    for row in rows() {
        assert_eq!(classify(&row.bytes[..], &OURS), row.verdict, "{}", row.name);
    }
}

#[test]
fn a_request_always_lies_inside_its_frame() {
    let mut requests = 0;
    let mut check = |name: &str, bytes: &[u8]| {
        if let Verdict::Request(request) = classify(bytes, &OURS) {
            requests += 1;
            let (min, max) = request.kind.request_length();
            assert!((min..=max).contains(&request.payload_len), "{name}");
            assert!(request.payload_offset + request.payload_len <= bytes.len(), "{name}");
        }
    };
    for row in rows() {
        for len in 0..=row.bytes.len() {
            check(&row.name, &row.bytes[..len]);
        }
        let mut bytes = row.bytes.clone();
        for at in 0..bytes.len().min(100) {
            for flip in 1..=255 {
                bytes[at] ^= flip;
                check(&row.name, &bytes);
                bytes[at] ^= flip;
            }
        }
    }
    assert!(requests > 100_000, "only {requests} changed frames were still requests");
}

/// RFC 1071 as it is written there: 16-bit words, big-endian.
fn rfc1071(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The UDP checksum that a frame should have.
fn udp_checksum(frame: &[u8], request: &Request) -> u16 {
    let (at, udp_at) = (request.network_offset, request.payload_offset - UDP_LEN);
    let addresses = match request.network {
        Network::V4 => &frame[at + 12..at + 20],
        Network::V6 => &frame[at + 8..at + 40],
    };
    let udp = &frame[udp_at..request.payload_offset + request.payload_len];
    let pseudo = [[0, 17], (udp.len() as u16).to_be_bytes()].concat();
    match rfc1071(&[addresses, &pseudo, &udp[..6], &udp[8..]]) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// A frame that has room behind it.
struct Memory(Vec<u8>);

impl Frame for Memory {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0[..].read(offset)
    }

    fn frame_len(&self) -> usize {
        self.0.len()
    }
}

impl FrameMut for Memory {
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        self.0[..].write(offset, bytes)
    }

    fn grow(&mut self, bytes: i32) -> Option<()> {
        self.0.resize(self.0.len().checked_add_signed(bytes as isize)?, 0xaa);
        Some(())
    }
}

/// The frame of a request turned into that of its answer, and what is to be read in it; none when it has IP options.
fn turned<const WORDS: usize>(bytes: &[u8], request: &Request, payload: Payload<WORDS>) -> Option<(Vec<u8>, Request)> {
    let mut frame = Memory(bytes.to_vec());
    let turned = turn(&mut frame, request, payload);
    assert_eq!(turned.is_some(), request.is_plain());
    turned?;
    let replied = Request { payload_len: 8 * WORDS + 2 * usize::from(payload.tail.is_some()), ..*request };
    frame.0.truncate(replied.payload_offset + replied.payload_len);
    Some((frame.0, replied))
}

fn check_turned<const WORDS: usize>(row: &NamedFrame, request: &Request, tail: Option<u16>) -> bool {
    let words = core::array::from_fn(|i| 0x0123_4567_89ab_cdef_u64.rotate_left(7 * i as u32));
    let Some((out, replied)) = turned(&row.bytes, request, Payload::<WORDS> { words, tail }) else { return false };
    let len = replied.payload_len;
    let payload = [words.map(u64::to_le_bytes).as_flattened(), &tail.unwrap_or(0).to_le_bytes()].concat();
    assert_eq!(out[request.payload_offset..], payload[..len], "{}", row.name);
    assert_eq!((&out[..6], &out[6..12]), (&row.bytes[6..12], &row.bytes[..6]), "{}: sides", row.name);
    assert_eq!(sender(&out[..], &replied), receiver(&row.bytes[..], request), "{}", row.name);
    assert_eq!(receiver(&out[..], &replied), sender(&row.bytes[..], request), "{}", row.name);
    let written = u16::from_be_bytes([out[request.payload_offset - 2], out[request.payload_offset - 1]]);
    assert_eq!(written, udp_checksum(&out, &replied), "{} with {len} bytes", row.name);
    if request.network == Network::V4 {
        assert_eq!(rfc1071(&[&out[request.network_offset..][..20]]), 0, "{}", row.name);
    }
    assert!(checksums_hold(&out[..], &replied), "{} with {len} bytes", row.name);
    true
}

#[test]
fn a_frame_is_turned_into_its_answer() {
    let mut turned = 0;
    for row in rows() {
        let Verdict::Request(request) = row.verdict else { continue };
        turned += usize::from(check_turned::<0>(&row, &request, None));
        turned += usize::from(check_turned::<2>(&row, &request, Some(0xfedc)));
        turned += usize::from(check_turned::<7>(&row, &request, None));
    }
    assert!(turned > 50, "{turned} answers");
}

#[test]
fn a_changed_byte_breaks_a_checksum() {
    for row in rows() {
        let Verdict::Request(request) = row.verdict else { continue };
        let payload = Payload { words: [1, 2, 3], tail: Some(4) };
        let Some((mut out, replied)) = turned(&row.bytes, &request, payload) else { continue };
        let covered = match request.network {
            Network::V4 => request.network_offset..out.len(),
            // Hops and flow are nobody's.
            Network::V6 => request.network_offset + 8..out.len(),
        };
        for at in covered {
            out[at] ^= 0x10;
            assert!(!checksums_hold(&out[..], &replied), "{}: byte {at}", row.name);
            out[at] ^= 0x10;
        }
        let field = request.payload_offset - 2..request.payload_offset;
        out[field].fill(0);
        assert_eq!(checksums_hold(&out[..], &replied), request.network == Network::V4, "{}: absent", row.name);
    }
}

fn origin(ip: &str, port: u16) -> Origin {
    let ip = match ip.parse().expect("a literal") {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        std::net::IpAddr::V6(v6) => v6,
    };
    Origin::from(&Peer { ip: ip.octets(), port })
}

#[test]
fn a_clients_frame_is_what_the_server_takes_for_a_request() {
    for (from, to) in [("10.1.2.3", "10.1.2.1"), ("255.255.255.254", "1.0.0.1"), ("fd00::2", "fd00::1")] {
        let (from, to) = (origin(from, 40_001), origin(to, OURS.ports[0]));
        let envelope = Envelope::new([[2; 6], [4; 6]], &from, &to);
        for byte in 0..=255 {
            let mut frame = [byte; 200];
            frame[envelope.head_len()..][..32].copy_from_slice(&[&[0x41, 0][..], &[byte; 30]].concat());
            let len = envelope.close(&mut frame, 32).expect("room");
            let frame = &frame[..len];
            let Verdict::Request(request) = classify(frame, &OURS) else { panic!("{:?}", classify(frame, &OURS)) };
            assert!(request.is_plain() && checksums_hold(frame, &request));
            assert_eq!((sender(frame, &request), receiver(frame, &request)), (Some(from), Some(to)));
            assert_eq!(ends_of(frame), Some(ends(&from, &to)));
            assert_eq!(payload_of(frame), Some(envelope.head_len()..len));
        }
        assert_eq!(envelope.close(&mut [0; 60], 32), None, "no room");
    }
}

#[test]
fn a_frame_is_opened_when_its_lengths_and_checksums_hold() {
    for (from, to) in [("10.1.2.3", "10.1.2.1"), ("fd00::2", "fd00::1")] {
        let envelope = Envelope::new([[2; 6], [4; 6]], &origin(from, 9), &origin(to, 2015));
        let mut frame = [7; 200];
        let len = envelope.close(&mut frame, 18).expect("room");
        let (head, whole) = (envelope.head_len(), frame);
        assert_eq!(payload_of(&whole), Some(head..len), "padding behind it does no harm");
        assert_eq!(payload_of(&whole[..len - 1]), None, "cut");
        for at in 14..len {
            let mut frame = whole;
            frame[at] ^= 0x10;
            // Hops and flow of IPv6 are in no checksum.
            let is_free = len > 42 + 18 && matches!(at, 15..=17 | 21);
            assert_eq!(payload_of(&frame).is_some(), is_free, "{from}: byte {at}");
        }
        // What a sender on this machine leaves to its card: the sum of addresses, length and protocol alone.
        let mut half = whole;
        let addresses = if head == 42 { &half[26..34] } else { &half[22..54] };
        let sum = !rfc1071(&[addresses, &[0, 17], &[0, 26]]);
        half[head - 2..head].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(payload_of(&half), Some(head..len), "{from}: half a checksum");
    }
}
