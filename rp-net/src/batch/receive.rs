//! Receiving: recvmmsg into slots that are read where they lie.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rp_core::wire::Peer;

use super::{CAPACITY, CONTROL_DATA, CONTROL_LEN, SLOTS, Slots, Storage};
use crate::address::{Family, Local, mapped};
use crate::socket::UdpSocket;

/// Datagrams received by one system call.
pub struct RecvBatch {
    slots: Slots,
    received: usize,
    family: Family,
    asks_local: bool,
    remote: Option<Peer>,
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl RecvBatch {
    /// An empty batch. Allocates once, some 90 kB.
    pub fn new() -> Self {
        let mut batch =
            Self { slots: Slots::new(), received: SLOTS, family: Family::V6, asks_local: true, remote: None };
        batch.prepare();
        batch.received = 0;
        batch
    }

    /// Takes what waits at the socket, up to a full batch, and returns how many; 0 when nothing waits. What the batch
    /// held before is gone.
    ///
    /// # Errors
    /// What the kernel says; on a connected socket *connection refused* when an earlier datagram found nobody.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        if self.asks_local != socket.asks_local || self.remote != socket.remote {
            self.asks_local = socket.asks_local;
            self.remote = socket.remote;
            self.received = SLOTS;
        }
        self.family = socket.family;
        self.prepare();
        self.received = 0;
        let headers = self.slots.storage_mut().headers.as_mut_ptr();
        loop {
            // SAFETY: `headers` are SLOTS headers whose pointers lead to buffers of the lengths they state, all alive
            // in `self.slots`; the time-out is absent.
            let count = unsafe {
                let flags = libc::MSG_DONTWAIT;
                libc::recvmmsg(socket.as_fd().as_raw_fd(), headers, SLOTS as u32, flags as _, ptr::null_mut())
            };
            if let Ok(count) = usize::try_from(count) {
                self.received = count;
                return Ok(count);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(0),
                _ => return Err(error),
            }
        }
    }

    /// Datagrams in the batch.
    pub fn len(&self) -> usize {
        self.received
    }

    /// Is the batch empty?
    pub fn is_empty(&self) -> bool {
        self.received == 0
    }

    /// The payload of datagram `i`: at most one byte longer than any valid one, and then it was cut.
    #[inline]
    pub fn payload(&self, i: usize) -> &[u8] {
        assert!(i < self.received);
        let storage = self.slots.storage();
        let len = (storage.headers[i].msg_len as usize).min(CAPACITY);
        &storage.payloads[i].bytes[..len]
    }

    /// Datagram `i`: payload, where it came from, and the address of ours it was sent to.
    #[inline]
    pub fn datagram(&self, i: usize) -> (&[u8], Peer, Local) {
        let payload = self.payload(i);
        let storage = self.slots.storage();
        let peer = match self.remote {
            Some(remote) => remote,
            None => self.peer(storage, i),
        };
        let local = if self.asks_local { self.local(storage, i) } else { Local::default() };
        (payload, peer, local)
    }

    /// Puts right what the kernel changed in the headers of the last batch.
    fn prepare(&mut self) {
        let (named, controlled) = (self.remote.is_none(), self.asks_local);
        let storage = self.slots.storage_mut();
        for i in 0..self.received {
            let header = &mut storage.headers[i].msg_hdr;
            if named {
                header.msg_name = (&raw mut storage.names[i]).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            } else {
                header.msg_name = ptr::null_mut();
                header.msg_namelen = 0;
            }
            if controlled {
                header.msg_control = (&raw mut storage.controls[i]).cast();
                header.msg_controllen = CONTROL_LEN;
            } else {
                header.msg_control = ptr::null_mut();
                header.msg_controllen = 0;
            }
        }
    }

    #[inline]
    fn peer(&self, storage: &Storage, i: usize) -> Peer {
        let name = &storage.names[i];
        match self.family {
            Family::V6 => Peer { ip: name.sin6_addr.s6_addr, port: u16::from_be(name.sin6_port) },
            Family::V4 => {
                // An AF_INET name has its port at the same place, and its address where IPv6 has the flow label.
                let v4 = name.sin6_flowinfo.to_ne_bytes();
                Peer { ip: mapped(v4), port: u16::from_be(name.sin6_port) }
            }
        }
    }

    /// The address of ours, from the control message. The socket asks for one kind only, so it is the first.
    #[inline]
    fn local(&self, storage: &Storage, i: usize) -> Local {
        let bytes = &storage.controls[i].bytes;
        if storage.headers[i].msg_hdr.msg_controllen < CONTROL_DATA + size_of::<libc::in_pktinfo>() {
            return Local::default();
        }
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (level, name) = (word(8) as i32, word(12) as i32);
        match self.family {
            Family::V6 if (level, name) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let mut ip = [0; 16];
                ip.copy_from_slice(&bytes[CONTROL_DATA..CONTROL_DATA + 16]);
                Local { ip, interface: word(CONTROL_DATA + 16) }
            }
            Family::V4 if (level, name) == (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // struct in_pktinfo: interface, local address (for a broadcast not the one in the header), address.
                let mut v4 = [0; 4];
                v4.copy_from_slice(&bytes[CONTROL_DATA + 4..CONTROL_DATA + 8]);
                Local { ip: mapped(v4), interface: word(CONTROL_DATA) }
            }
            _ => Local::default(),
        }
    }
}

// The control message's level and type follow its length, which is 8 bytes wide here.
const _: () = assert!(std::mem::offset_of!(libc::cmsghdr, cmsg_level) == 8);
const _: () = assert!(std::mem::offset_of!(libc::cmsghdr, cmsg_type) == 12);
const _: () =
    assert!(std::mem::offset_of!(libc::sockaddr_in6, sin6_port) == std::mem::offset_of!(libc::sockaddr_in, sin_port));
const _: () = assert!(
    std::mem::offset_of!(libc::sockaddr_in6, sin6_flowinfo) == std::mem::offset_of!(libc::sockaddr_in, sin_addr)
);
