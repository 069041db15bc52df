//! Sending: slots are filled in place, then leave by sendmmsg.

use std::io;
use std::mem::size_of;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rp_core::limits::DATAGRAM_MAX;
use rp_core::wire::Peer;

use super::{CONTROL_DATA, SLOTS, Slots};
use crate::address::{Family, Local, is_link_local, unmapped};
use crate::socket::UdpSocket;
use crate::wait;

/// Times that one flush waits for room in the send buffer, of [`WAIT_MS`] each: then the rest is counted as failed.
const WAITS_MAX: u32 = 4;
const WAIT_MS: u32 = 5;
/// Bytes of payload that the kernel takes as one: 65 535 less the headers, IPv6 with an extension.
const JOINED_BYTES_MAX: usize = 65_000;

/// What became of a batch.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub sent: usize,
    /// Datagrams that it refused.
    pub failed: usize,
    /// The last refusal's errno, if there was one.
    pub errno: Option<i32>,
}

/// Datagrams to be sent by one system call.
pub struct SendBatch {
    slots: Slots,
    routes: Box<[(Peer, Local); SLOTS]>,
    committed: usize,
    joins: bool,
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl SendBatch {
    /// An empty batch. Allocates once, some 90 kB.
    pub fn new() -> Self {
        Self { slots: Slots::new(), routes: Box::new([Default::default(); SLOTS]), committed: 0, joins: false }
    }

    /// An empty batch for connected sockets that hands datagrams of one length to the kernel as one (UDP_SEGMENT): the
    /// way through the stack is gone once for all of them, a fourth of the sender's CPU.
    ///
    /// They part again at the network card, or on a link whose far end has XDP in driver mode. Where nothing parts them
    /// (loopback, skb-mode XDP) the receiver chooses one socket for all, so a server that steers each by its content
    /// must not be sent them there.
    pub fn joining() -> Self {
        Self { joins: true, ..Self::new() }
    }

    /// Datagrams that wait for a flush.
    pub fn len(&self) -> usize {
        self.committed
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.committed == 0
    }

    /// Must it be flushed before the next slot?
    pub fn is_full(&self) -> bool {
        self.committed == SLOTS
    }

    /// The next free slot, to be filled and committed. The batch must not be full.
    #[inline]
    pub fn slot(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        let i = self.committed;
        assert!(i < SLOTS, "a full batch must be flushed first");
        self.slots.storage_mut().payloads[i]
            .bytes
            .first_chunk_mut()
            .expect("a payload's room is larger than a datagram")
    }

    /// Queues the first `len` bytes of the slot for `peer`, to leave from `local` (where the datagram that it answers
    /// was sent to; all zero lets the kernel choose). A connected socket ignores both.
    #[inline]
    pub fn commit(&mut self, len: usize, peer: &Peer, local: &Local) {
        assert!(len <= DATAGRAM_MAX && self.committed < SLOTS);
        self.slots.storage_mut().parts[self.committed].iov_len = len;
        self.routes[self.committed] = (*peer, *local);
        self.committed += 1;
    }

    /// Sends all that waits, and empties the batch. A datagram that the kernel refuses is skipped and counted; a full
    /// send buffer is waited for, some milliseconds at most.
    ///
    /// # Errors
    /// Only what no later datagram could survive: the socket itself is bad.
    pub fn flush(&mut self, socket: &UdpSocket) -> io::Result<Sent> {
        let datagrams = std::mem::take(&mut self.committed);
        let count = if self.joins {
            self.join(datagrams)
        } else {
            self.route(socket, datagrams);
            datagrams
        };
        let fd = socket.as_fd();
        let mut outcome = Sent::default();
        let (mut at, mut waits, mut retried) = (0, 0, false);
        while at < count {
            let headers = &mut self.slots.storage_mut().headers[at..count];
            // SAFETY: the headers' pointers lead to buffers of the lengths they state, all alive in `self.slots`.
            let code = unsafe {
                let flags = libc::MSG_DONTWAIT;
                libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), headers.len() as u32, flags as _)
            };
            if let Ok(sent) = usize::try_from(code) {
                outcome.sent += self.datagrams(at..at + sent);
                at += sent;
                retried = false;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) if waits < WAITS_MAX => {
                    waits += 1;
                    wait::writable(fd, WAIT_MS)?;
                }
                // Told here, but about an earlier datagram: this one has not been tried.
                Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH) if !retried => {
                    retried = true;
                    outcome.errno = error.raw_os_error();
                }
                Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) => return Err(error),
                errno => {
                    outcome.failed += self.datagrams(at..at + 1);
                    outcome.errno = errno;
                    at += 1;
                    retried = false;
                }
            }
        }
        if self.joins {
            self.slots.link();
        }
        Ok(outcome)
    }

    /// Datagrams behind these headers.
    fn datagrams(&self, headers: Range<usize>) -> usize {
        self.slots.storage().headers[headers].iter().map(|header| header.msg_hdr.msg_iovlen).sum()
    }

    /// Puts all datagrams of one length behind one header, as far as the kernel takes them (empty ones not at all: it cannot
    /// cut between them); returns how many headers there are.
    fn join(&mut self, count: usize) -> usize {
        let storage = self.slots.storage_mut();
        // In order of address they are in order of commitment.
        storage.parts[..count].sort_unstable_by_key(|part| (part.iov_len, part.iov_base as usize));
        let mut joined = 0;
        for alike in storage.parts[..count].chunk_by_mut(|a, b| a.iov_len == b.iov_len) {
            let len = alike[0].iov_len;
            for parts in alike.chunks_mut(JOINED_BYTES_MAX.checked_div(len).unwrap_or(1)) {
                let control = &mut storage.controls[joined].bytes;
                let header = &mut storage.headers[joined].msg_hdr;
                header.msg_controllen = put_segment_len(control, len as u16);
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_iovlen = parts.len();
                header.msg_iov = parts.as_mut_ptr();
                joined += 1;
            }
        }
        joined
    }

    /// Writes addresses and control messages the way this socket wants them.
    fn route(&mut self, socket: &UdpSocket, count: usize) {
        let storage = self.slots.storage_mut();
        for i in 0..count {
            let (peer, local) = &self.routes[i];
            let header = &mut storage.headers[i].msg_hdr;
            if socket.remote.is_some() {
                header.msg_name = ptr::null_mut();
                header.msg_namelen = 0;
                header.msg_control = ptr::null_mut();
                header.msg_controllen = 0;
                continue;
            }
            let name = &mut storage.names[i];
            header.msg_name = (&raw mut *name).cast();
            header.msg_namelen = put_name(name, socket.family, peer, local);
            if socket.asks_local && *local != Local::default() {
                let control = &mut storage.controls[i].bytes;
                header.msg_controllen = put_control(control, socket.family, local);
                header.msg_control = control.as_mut_ptr().cast();
            } else {
                header.msg_control = ptr::null_mut();
                header.msg_controllen = 0;
            }
        }
    }
}

#[inline]
fn put_name(name: &mut libc::sockaddr_in6, family: Family, peer: &Peer, local: &Local) -> libc::socklen_t {
    name.sin6_port = peer.port.to_be();
    match family {
        Family::V6 => {
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_flowinfo = 0;
            name.sin6_addr.s6_addr = peer.ip;
            name.sin6_scope_id = if is_link_local(&peer.ip) { local.interface } else { 0 };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
        Family::V4 => {
            name.sin6_family = libc::AF_INET as libc::sa_family_t;
            name.sin6_flowinfo = u32::from_ne_bytes(unmapped(&peer.ip));
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
    }
}

/// Writes the one control message that says where the kernel is to cut, and returns its length with padding.
fn put_segment_len(control: &mut [u8; super::CONTROL_LEN], len: u16) -> usize {
    control[..8].copy_from_slice(&(CONTROL_DATA + size_of::<u16>()).to_ne_bytes());
    control[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    control[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    control[16..18].copy_from_slice(&len.to_ne_bytes());
    (CONTROL_DATA + size_of::<u16>()).next_multiple_of(8)
}

/// Writes the one control message and returns its length with padding: CMSG_SPACE.
///
/// An AF_INET6 socket takes IPV6_PKTINFO for IPv4 destinations too, when the address in it is mapped.
#[inline]
fn put_control(control: &mut [u8; super::CONTROL_LEN], family: Family, local: &Local) -> usize {
    let (level, name, len) = match family {
        Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>()),
        Family::V4 => (libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>()),
    };
    control[..8].copy_from_slice(&(CONTROL_DATA + len).to_ne_bytes());
    control[8..12].copy_from_slice(&level.to_ne_bytes());
    control[12..16].copy_from_slice(&name.to_ne_bytes());
    match family {
        Family::V6 => {
            let interface = if is_link_local(&local.ip) { local.interface } else { 0 };
            control[16..32].copy_from_slice(&local.ip);
            control[32..36].copy_from_slice(&interface.to_ne_bytes());
        }
        Family::V4 => {
            control[16..20].fill(0);
            control[20..24].copy_from_slice(&unmapped(&local.ip));
            control[24..28].fill(0);
        }
    }
    (CONTROL_DATA + len).next_multiple_of(8)
}
