//! The way in past the network stack: frames of the worker's AF_XDP sockets, answered by the same engine.
//!
//! What the stack would have done is done here: checksums, the sender's address and the one that was asked are looked at. The
//! door that the sender came by remembers from whom the frame was, so that replies leave the same way.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, Result};
use rp_core::engine::{Now, Shard};
use rp_core::frame::{
    self, ETHERNET_LEN, Frame as _, Network, Ours, Request, Verdict, checksums_hold, classify, is_for_one,
};
use rp_core::limits::RX_SLOTS;
use rp_core::reason::Reason;
use rp_core::wire::{Origin, Peer};
use rp_net::xsk::FRAME_MAX;

use super::Face;
use super::doors::Cable;
use super::homes::{Homes, is_v4};
use super::replies::Replies;
use super::stopwatch::Stopwatch;

/// What decides about frames besides themselves.
#[derive(Clone)]
pub struct Frames {
    /// What is ours, as the gate has it.
    pub ours: Ours,
    /// Which addresses are ours.
    pub homes: Arc<Homes>,
}

impl Frames {
    /// Takes a batch from each AF_XDP socket and lets the engine answer it; returns the size of the largest.
    pub(super) fn serve(
        &self,
        now: impl Fn() -> Now,
        shard: &mut Shard,
        replies: &mut Replies<'_>,
        face: &Face,
        watch: &mut Stopwatch<'_>,
    ) -> Result<usize> {
        let mut most = 0;
        for at in 0..replies.xsks.len() {
            let taken = replies.xsks[at].1.receive().context("receiving by AF_XDP")?;
            if taken > 0 {
                face.from_xsk.fetch_add(taken as u64, Relaxed);
                let now = now();
                watch.begin(now.mono_us, taken);
                self.answer(at, taken, now, shard, replies);
                watch.hold(now.mono_us, shard.journal());
            }
            replies.flush_xsk(at)?;
            most = most.max(taken);
        }
        Ok(most)
    }

    /// Lets the engine answer the frames; all sessions are looked at first, as for what comes by sockets.
    fn answer(&self, at: usize, taken: usize, now: Now, shard: &mut Shard, replies: &mut Replies<'_>) {
        let mut verdicts = [Verdict::NotOurs; RX_SLOTS];
        let mut touched = 0;
        for (i, verdict) in verdicts[..taken].iter_mut().enumerate() {
            let frame = replies.xsks[at].1.frame(i);
            *verdict = classify(frame, &self.ours);
            if let Verdict::Request(request) = verdict {
                touched ^= shard.touch(payload_of(frame, request));
            }
        }
        std::hint::black_box(touched);
        let mut room = [0; FRAME_MAX];
        for (i, verdict) in verdicts[..taken].iter().enumerate() {
            let interface = replies.xsks[at].0;
            match verdict {
                Verdict::Request(request) => {
                    // Out of the way: replies are written beside it.
                    let frame = replies.xsks[at].1.frame(i);
                    let room = &mut room[..frame.len()];
                    room.copy_from_slice(frame);
                    self.answer_one(room, request, interface, now, shard, replies);
                }
                // The gate decides by the same function, and sends nothing of the kind.
                Verdict::Drop(reason) => shard.refuse(Peer::default(), &[], *reason),
                Verdict::NotOurs => shard.refuse(Peer::default(), &[], Reason::BadHeader),
            }
        }
    }

    fn answer_one(
        &self,
        frame: &[u8],
        request: &Request,
        interface: u32,
        now: Now,
        shard: &mut Shard,
        replies: &mut Replies<'_>,
    ) {
        let payload = payload_of(frame, request);
        let (Some(from), Some(to)) = (frame::sender(frame, request), frame::receiver(frame, request)) else {
            return shard.refuse(Peer::default(), payload, Reason::BadHeader);
        };
        let peer = peer_of(&from);
        // Such an IPv6 address would be answered over IPv4.
        let is_mapped = request.network == Network::V6 && (is_v4(from.ip) || is_v4(to.ip));
        if is_mapped || is_nobodys(&peer, &peer_of(&to)) {
            return shard.refuse(peer, payload, Reason::BadHeader);
        }
        let Some(mut door) = self.homes.door(&to, interface) else {
            return shard.refuse(peer, payload, Reason::NotOurAddress);
        };
        if !checksums_hold(frame, request) {
            return shard.refuse(peer, payload, Reason::BadChecksum);
        }
        door.cable = cable_of(frame, request, interface, to);
        let door = replies.door(&door);
        shard.receive(now, peer, door, payload, replies);
    }
}

/// The way back of a frame; none where the stack must find it: for one inside a VLAN, or that went to many machines.
fn cable_of(frame: &[u8], request: &Request, interface: u32, home: Origin) -> Option<Cable> {
    let macs: [[u8; 6]; 2] = [frame.read(0)?, frame.read(6)?];
    // Nor may the answer go to many.
    let is_plain = request.network_offset == ETHERNET_LEN && is_for_one(frame) && is_for_one(&macs[1][..]);
    is_plain.then_some(Cable { interface, macs, home })
}

/// An address that no datagram can come from: the stack drops what says so. Loopback speaks to loopback alone.
fn is_nobodys(from: &Peer, to: &Peer) -> bool {
    let canonical = |peer: &Peer| Ipv6Addr::from(peer.ip).to_canonical();
    let (from, to) = (canonical(from), canonical(to));
    let is_all_or_none = match from {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    is_all_or_none || from.is_multicast() || from.is_loopback() && !to.is_loopback()
}

fn peer_of(origin: &Origin) -> Peer {
    Peer { ip: origin.ip_bytes(), port: origin.port }
}

/// The UDP payload, which `classify` found inside the frame.
fn payload_of<'a>(frame: &'a [u8], request: &Request) -> &'a [u8] {
    &frame[request.payload_offset..request.payload_offset + request.payload_len]
}

#[cfg(test)]
mod tests {
    use rp_core::cookie::Baker;
    use rp_core::engine::Config;
    use rp_core::engine::board::Board;
    use rp_core::engine::books::Books;
    use rp_core::frame::Envelope;
    use rp_core::wire::{HELLO_LEN, Hello};
    use rp_net::socket::{Buffers, UdpSocket};

    use super::super::{Departures, Doors};
    use super::*;

    /// A HELLO over IPv6, whatever the addresses.
    fn hello(from: &str, to: &str, ours: &Ours) -> (Vec<u8>, Request) {
        let ends = [from, to].map(|text| text.parse::<Ipv6Addr>().expect("an address").octets());
        // With their words in another order none is IPv4, and the checksum is the same.
        let [other_from, other_to] = ends.map(|mut ip| {
            ip.rotate_left(10);
            Origin::from(&Peer { ip, port: ours.ports[0] })
        });
        let envelope = Envelope::new([[2; 6], [4; 6]], &other_from, &other_to);
        let at = envelope.head_len();
        let mut frame = vec![0; at + HELLO_LEN];
        Hello { flags: 0, set_hash: 0, client_nonce: 1 }.put(&mut frame[at..]);
        envelope.close(&mut frame, HELLO_LEN).expect("there is room");
        frame[ETHERNET_LEN + 8..][..32].copy_from_slice(ends.as_flattened());
        let Verdict::Request(request) = classify(&frame[..], ours) else { panic!("it is a request") };
        (frame, request)
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_frame_is_refused() {
        let buffers = Buffers { receive_bytes: 4096, send_bytes: 4096 };
        let socket = UdpSocket::unconnected("[::]:0".parse().expect("a literal"), buffers);
        let sockets = [socket.expect("a free port")];
        let ours = Ours { ports: [sockets[0].local_address().port(), 0, 0, 0], sets: 1 };
        let frames = Frames { ours, homes: Arc::new(Homes::new(&sockets)) };
        let (doors, departures) = (Doors::new(1), Departures::default());
        let mut replies = Replies::new(&sockets, Vec::new(), &doors, &departures);
        let (config, books) = (Config { sets: 1, workers: 1, ..Config::default() }, Arc::new(Books::default()));
        let (baker, board) = (Baker::new([5; 16], 0), Arc::new(Board::own(1)));
        let mut shard = Shard::new(config, baker, Vec::new(), [1; 32], vec![books.clone()], Arc::default(), &board);
        let now = Now { mono_us: 1_000_000, unix_us: 1_771_243_200_000_000 };
        for (from, to, counts) in [
            ("fd00::2", "::1", (1, 0)),
            ("::ffff:10.0.0.2", "::1", (1, 1)),
            ("fd00::2", "::ffff:127.0.0.1", (1, 2)),
            ("::ffff:10.0.0.2", "::ffff:127.0.0.1", (1, 3)),
            ("fd00::3", "::1", (2, 3)),
        ] {
            let (frame, request) = hello(from, to, &ours);
            frames.answer_one(&frame, &request, 3, now, &mut shard, &mut replies);
            let found = (books.replied.read(), books.dropped[Reason::BadHeader].read());
            assert_eq!((found, books.received.total()), (counts, counts.0 + counts.1), "{from} to {to}");
        }
    }

    #[test]
    fn a_cable_leads_from_one_machine_to_one() {
        let (frame, request) = hello("fd00::2", "fd00::1", &Ours { ports: [2015, 0, 0, 0], sets: 1 });
        let home = Origin { ip: [1, 2], port: 2015 };
        let check = |what: &str, at: usize, byte: u8, request: &Request, macs: Option<[[u8; 6]; 2]>| {
            let mut frame = frame.clone();
            frame[at] = byte;
            let cable = macs.map(|macs| Cable { interface: 3, macs, home });
            assert_eq!(cable_of(&frame, request, 3, home), cable, "{what}");
        };
        check("as it came", 0, 4, &request, Some([[4; 6], [2; 6]]));
        check("to a group", 0, 5, &request, None);
        check("from a group", 6, 3, &request, None);
        check("in a VLAN", 0, 4, &Request { network_offset: ETHERNET_LEN + 4, ..request }, None);
    }

    #[test]
    fn nobodys_addresses_are_known() {
        let peer = |text: &str| {
            let ip = match text.parse().expect("an address") {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            Peer { ip: ip.octets(), port: 1 }
        };
        for (from, to, nobodys) in [
            ("10.0.0.2", "10.0.0.1", false),
            ("127.0.0.1", "10.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("255.255.255.255", "10.0.0.1", true),
            ("0.1.2.3", "10.0.0.1", true),
            ("224.0.0.1", "10.0.0.1", true),
            ("fd00::2", "fd00::1", false),
            ("::", "fd00::1", true),
            ("::1", "fd00::1", true),
            ("ff02::1", "fd00::1", true),
        ] {
            assert_eq!(is_nobodys(&peer(from), &peer(to)), nobodys, "{from} to {to}");
        }
    }
}
