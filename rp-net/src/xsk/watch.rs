//! What an AF_XDP socket lost, by the kernel's count.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::option;

/// Words of struct xdp_statistics, and those that count what went to the socket and did not reach its ring: dropped (no
/// frame was free, or it was too long) and ring full. That the fill ring was empty is the cause of a drop, and counted there.
const STATISTICS_WORDS: usize = 6;
const RX_DROPPED: usize = 0;
const TX_INVALID: usize = 2;
const RX_RING_FULL: usize = 3;

/// A second handle of the socket, which may outlive the first.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
}

impl Watch {
    pub(super) fn new(socket: OwnedFd) -> Watch {
        Watch { socket }
    }

    fn words(&self) -> io::Result<[u64; STATISTICS_WORDS]> {
        option::get(self.socket.as_fd(), libc::SOL_XDP, libc::XDP_STATISTICS)
    }

    /// Frames that were sent to the socket and that nobody will read.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn lost(&self) -> io::Result<u64> {
        let words = self.words()?;
        Ok(words[RX_DROPPED] + words[RX_RING_FULL])
    }

    /// Frames to be sent that the kernel refused.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn refused(&self) -> io::Result<u64> {
        Ok(self.words()?[TX_INVALID])
    }
}
