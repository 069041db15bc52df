//! Socket overflow: datagrams that the kernel threw away because a socket's buffer was full.
//!
//! Read from SO_MEMINFO, which knows them at any time; SO_RXQ_OVFL tells only with the next datagram, so that the last
//! losses of a burst stay unseen.

use std::io;
use std::os::fd::AsFd;

use crate::option;
use crate::socket::UdpSocket;

/// Words of SO_MEMINFO, and the one that counts drops (linux/sock_diag.h).
const MEMINFO_WORDS: usize = 9;
const MEMINFO_DROPS: usize = 8;

impl UdpSocket {
    /// Datagrams lost since the socket was made, modulo 2^32: its buffer was full, their checksum was wrong, or its intake
    /// was closed.
    ///
    /// # Errors
    /// What the kernel says; SO_MEMINFO is there since Linux 4.12.
    pub fn overflow(&self) -> io::Result<u32> {
        let words: [u32; MEMINFO_WORDS] = option::get(self.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO)?;
        Ok(words[MEMINFO_DROPS])
    }
}
