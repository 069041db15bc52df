//! Turning a request's frame into its answer, in place: addresses and ports change sides, lengths and checksums are made
//! anew.
//!
//! All of it is words, never arrays of bytes: the kernel program has 512 bytes of stack.

use super::checksum::{fold, halves};
use super::{Frame, Network, Request, UDP_LEN};
use crate::wire::Origin;

const HOPS: u64 = 64;
pub(super) const PROTOCOL_UDP: u64 = 17;
const IPV4_LEN: u16 = 20;

/// A frame that can be written to.
pub trait FrameMut: Frame {
    /// Writes `N` bytes at `offset`; none when the frame ends before.
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()>;
    /// Makes the frame so many bytes longer, or shorter, at its end; none when there is no room.
    fn grow(&mut self, bytes: i32) -> Option<()>;
}

impl FrameMut for [u8] {
    #[inline(always)]
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        *self.get_mut(offset..)?.first_chunk_mut()? = bytes;
        Some(())
    }

    /// A slice has the room that it has.
    #[inline(always)]
    fn grow(&mut self, _: i32) -> Option<()> {
        None
    }
}

/// The payload of an answer: whole words, and two bytes more if it has such.
#[derive(Clone, Copy)]
pub struct Payload<const WORDS: usize> {
    /// Little-endian.
    pub words: [u64; WORDS],
    /// What follows them.
    pub tail: Option<u16>,
}

impl<const WORDS: usize> Payload<WORDS> {
    #[inline(always)]
    const fn len(&self) -> usize {
        8 * WORDS + if self.tail.is_some() { 2 } else { 0 }
    }

    #[inline(always)]
    fn sum(&self) -> u64 {
        let mut sum = match self.tail {
            Some(tail) => tail as u64,
            None => 0,
        };
        for word in self.words {
            sum += halves(word);
        }
        sum
    }

    #[inline(always)]
    fn write<F: FrameMut + ?Sized>(&self, frame: &mut F, at: usize) -> Option<()> {
        let mut offset = at;
        for word in self.words {
            frame.write(offset, word.to_le_bytes())?;
            offset += 8;
        }
        match self.tail {
            Some(tail) => frame.write(offset, tail.to_le_bytes()),
            None => Some(()),
        }
    }
}

/// Who sent a request; none when its frame is shorter than it was.
#[inline(always)]
pub fn sender<F: Frame + ?Sized>(frame: &F, request: &Request) -> Option<Origin> {
    let port = u16::from_be_bytes(frame.read(request.payload_offset - UDP_LEN)?);
    let at = request.network_offset;
    let ip = match request.network {
        // ::ffff:a.b.c.d
        Network::V4 => [0, 0xffff_0000 | u64::from(u32::from_le_bytes(frame.read(at + 12)?)) << 32],
        Network::V6 => [word(frame, at + 8)?, word(frame, at + 16)?],
    };
    Some(Origin { ip, port })
}

/// The address of ours that a request was sent to; none when its frame is shorter than it was.
#[inline(always)]
pub fn receiver<F: Frame + ?Sized>(frame: &F, request: &Request) -> Option<Origin> {
    let port = u16::from_be_bytes(frame.read(request.payload_offset - UDP_LEN + 2)?);
    let at = request.network_offset;
    let ip = match request.network {
        Network::V4 => [0, 0xffff_0000 | u64::from(u32::from_le_bytes(frame.read(at + 16)?)) << 32],
        Network::V6 => [word(frame, at + 24)?, word(frame, at + 32)?],
    };
    Some(Origin { ip, port })
}

/// Makes the frame of a request that of its answer; none, and nothing has changed, when there is no room for it or its IP
/// header has options. Whether it went to one machine ([`super::is_for_one`]) was asked before.
#[inline(always)]
pub fn turn<F: FrameMut + ?Sized, const WORDS: usize>(
    frame: &mut F,
    request: &Request,
    payload: Payload<WORDS>,
) -> Option<()> {
    if !request.is_plain() {
        return None;
    }
    if request.payload_len != payload.len() {
        // What a card padded behind the request stays behind the answer.
        frame.grow(payload.len() as i32 - request.payload_len as i32)?;
    }
    turn_headers(frame, request, payload.len(), payload.sum())?;
    payload.write(frame, request.payload_offset)
}

#[inline(always)]
fn turn_headers<F: FrameMut + ?Sized>(
    frame: &mut F,
    request: &Request,
    payload_len: usize,
    payload_sum: u64,
) -> Option<()> {
    turn_macs(frame)?;
    let udp_at = request.payload_offset - UDP_LEN;
    let udp_len = (UDP_LEN + payload_len) as u16;
    // The addresses, of which the sum is the same from either side.
    let addresses = match request.network {
        Network::V4 => turn_v4(frame, request.network_offset, udp_len)?,
        Network::V6 => turn_v6(frame, request.network_offset, udp_len)?,
    };
    let ports = u32::from_le_bytes(frame.read(udp_at)?).rotate_left(16);
    let udp = u64::from(ports) | u64::from(udp_len.swap_bytes()) << 32;
    let pseudo = u64::from(udp_len.swap_bytes()) + (PROTOCOL_UDP << 8);
    let checksum = match !fold(addresses + pseudo + halves(udp) + payload_sum) {
        // Zero would say that there is none.
        0 => 0xffff,
        checksum => checksum,
    };
    frame.write(udp_at, (udp | u64::from(checksum) << 48).to_le_bytes())
}

#[inline(always)]
fn turn_macs<F: FrameMut + ?Sized>(frame: &mut F) -> Option<()> {
    // Six bytes of destination and two of source; four of source.
    let (first, second) = (word(frame, 0)?, u32::from_le_bytes(frame.read(8)?));
    let source = first >> 48 | u64::from(second) << 16;
    let destination = first & 0xffff_ffff_ffff;
    frame.write(0, (source | destination << 48).to_le_bytes())?;
    frame.write(8, ((destination >> 16) as u32).to_le_bytes())
}

#[inline(always)]
fn turn_v4<F: FrameMut + ?Sized>(frame: &mut F, at: usize, udp_len: u16) -> Option<u64> {
    let addresses = word(frame, at + 12)?.rotate_left(32);
    // Version and length; type of service 0; total length; identification 0, not to be fragmented.
    let head = 0x45 | u64::from((IPV4_LEN + udp_len).swap_bytes()) << 16 | 0x40 << 48;
    let hops = HOPS | PROTOCOL_UDP << 8;
    let checksum = !fold(halves(head) + hops + halves(addresses));
    frame.write(at, head.to_le_bytes())?;
    frame.write(at + 8, (hops as u32 | u32::from(checksum) << 16).to_le_bytes())?;
    frame.write(at + 12, addresses.to_le_bytes())?;
    Some(halves(addresses))
}

#[inline(always)]
fn turn_v6<F: FrameMut + ?Sized>(frame: &mut F, at: usize, udp_len: u16) -> Option<u64> {
    let source = [word(frame, at + 8)?, word(frame, at + 16)?];
    let destination = [word(frame, at + 24)?, word(frame, at + 32)?];
    let head = 0x60 | u64::from(udp_len.swap_bytes()) << 32 | PROTOCOL_UDP << 48 | HOPS << 56;
    frame.write(at, head.to_le_bytes())?;
    frame.write(at + 8, destination[0].to_le_bytes())?;
    frame.write(at + 16, destination[1].to_le_bytes())?;
    frame.write(at + 24, source[0].to_le_bytes())?;
    frame.write(at + 32, source[1].to_le_bytes())?;
    Some(halves(source[0]) + halves(source[1]) + halves(destination[0]) + halves(destination[1]))
}

/// Eight bytes of a frame.
#[inline(always)]
pub(crate) fn word<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<u64> {
    frame.read(at).map(u64::from_le_bytes)
}
