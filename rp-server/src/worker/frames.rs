//! The door past the network stack: frames of the worker's AF_XDP sockets, answered by the same engine.
//!
//! What the stack would have done is done here: checksums, the sender's address and the one that was asked are looked at, and
//! a reply to the sender leaves in a frame with the headers of its request, turned. All else (news for somebody else, a reply
//! when all frames are on their way) leaves by the sockets.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, Result};
use rp_core::engine::{Now, Shard, Transmit};
use rp_core::frame::{self, Ours, Request, Verdict, checksums_hold, classify, is_for_one};
use rp_core::limits::{DATAGRAM_MAX, RX_SLOTS};
use rp_core::reason::Reason;
use rp_core::wire::{Origin, Peer};
use rp_net::xsk::{Frames, Outgoing, Xsk};

use super::Face;
use super::homes::Homes;
use super::replies::Replies;

/// The AF_XDP sockets of one worker.
pub struct Queues {
    /// Each with the number of its interface.
    pub xsks: Vec<(u32, Xsk)>,
    /// What is ours, as the gate has it.
    pub ours: Ours,
    /// Which addresses are ours.
    pub homes: Arc<Homes>,
}

impl Queues {
    /// Takes a batch from each and lets the engine answer it; returns the size of the largest.
    pub(super) fn serve(
        &mut self,
        now: impl Fn() -> Now,
        shard: &mut Shard,
        replies: &mut Replies<'_>,
        face: &Face,
    ) -> Result<usize> {
        let mut most = 0;
        for (interface, xsk) in &mut self.xsks {
            let taken = xsk.receive().context("receiving by AF_XDP")?;
            if taken > 0 {
                face.from_xsk.fetch_add(taken as u64, Relaxed);
                let (frames, out) = xsk.parts();
                let desk = Desk { ours: &self.ours, homes: &self.homes, interface: *interface };
                desk.answer(frames, out, now(), shard, replies);
                replies.flush();
            }
            let refused = xsk.flush().context("transmitting by AF_XDP")?;
            face.losses.failed.fetch_add(refused as u64, Relaxed);
            most = most.max(taken);
        }
        Ok(most)
    }
}

/// What decides about a frame besides itself.
struct Desk<'a> {
    ours: &'a Ours,
    homes: &'a Homes,
    interface: u32,
}

impl Desk<'_> {
    /// Lets the engine answer the frames; all sessions are looked at first, as for what comes by sockets.
    fn answer(
        &self,
        frames: Frames<'_>,
        mut out: Outgoing<'_>,
        now: Now,
        shard: &mut Shard,
        replies: &mut Replies<'_>,
    ) {
        let mut verdicts = [Verdict::NotOurs; RX_SLOTS];
        let mut touched = 0;
        for (i, verdict) in verdicts[..frames.len()].iter_mut().enumerate() {
            *verdict = classify(frames.frame(i), self.ours);
            if let Verdict::Request(request) = verdict {
                touched ^= shard.touch(payload_of(frames.frame(i), request));
            }
        }
        std::hint::black_box(touched);
        for (i, verdict) in verdicts[..frames.len()].iter().enumerate() {
            let frame = frames.frame(i);
            match verdict {
                Verdict::Request(request) => self.answer_one(frame, request, &mut out, now, shard, replies),
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
        out: &mut Outgoing<'_>,
        now: Now,
        shard: &mut Shard,
        replies: &mut Replies<'_>,
    ) {
        let payload = payload_of(frame, request);
        let (Some(from), Some(to)) = (frame::sender(frame, request), frame::receiver(frame, request)) else {
            return shard.refuse(Peer::default(), payload, Reason::BadHeader);
        };
        let peer = peer_of(&from);
        if is_nobodys(&peer, &peer_of(&to)) {
            return shard.refuse(peer, payload, Reason::BadHeader);
        }
        let Some(door) = self.homes.door(&to, self.interface) else {
            return shard.refuse(peer, payload, Reason::NotOurAddress);
        };
        if !checksums_hold(frame, request) {
            return shard.refuse(peer, payload, Reason::BadChecksum);
        }
        let door = replies.door(usize::from(door.socket), &door.local);
        let mut turning = Turning { replies, out, frame, request, peer, door, in_frame: false };
        shard.receive(now, peer, door, payload, &mut turning);
    }
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

/// The transmit side while one frame is at hand.
struct Turning<'a, 's, 'r, 'o> {
    replies: &'a mut Replies<'s>,
    out: &'a mut Outgoing<'o>,
    frame: &'r [u8],
    request: &'r Request,
    peer: Peer,
    door: u16,
    /// The buffer that was handed out last lies in a frame.
    in_frame: bool,
}

impl Transmit for Turning<'_, '_, '_, '_> {
    #[inline]
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        // A frame whose IP header has options cannot be turned, and one to many machines must not.
        self.in_frame = self.request.is_plain() && is_for_one(self.frame) && self.out.slot().is_some();
        if !self.in_frame {
            return self.replies.buffer();
        }
        let slot = self.out.slot().expect("as just seen");
        slot[self.request.payload_offset..].first_chunk_mut().expect("a slot holds headers and the longest datagram")
    }

    #[inline]
    fn commit(&mut self, len: usize, to: Peer, door: u16) {
        if !self.in_frame {
            return self.replies.commit(len, to, door);
        }
        let slot = self.out.slot().expect("it holds the datagram");
        if to == self.peer && door == self.door {
            let turned = frame::answer(self.frame, self.request, slot, len);
            self.out.commit(turned.expect("a plain frame, and room behind its headers"));
        } else {
            let at = self.request.payload_offset;
            self.replies.buffer()[..len].copy_from_slice(&slot[at..at + len]);
            self.replies.commit(len, to, door);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
