//! Busy polling: whoever reads a socket in vain looks at the queue of its card himself, instead of waiting for its interrupt.

use std::io;
use std::os::fd::BorrowedFd;

use rp_core::limits::RX_SLOTS;

use crate::option;

/// Each vain read of the socket polls the queue by which its datagrams come, for a batch at most; and while such reads go on,
/// the queue's interrupt stays off where it is coalesced.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN; ENOPROTOOPT by a kernel without busy polling.
pub fn poll_queue_of(socket: BorrowedFd<'_>, us: u32) -> io::Result<()> {
    // Any time at all lets a read that does not wait poll once; how often it reads is the reader's affair.
    let us = i32::try_from(us).unwrap_or(i32::MAX);
    option::set(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, &us)?;
    option::set(socket, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, &1i32)?;
    option::set(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, &(RX_SLOTS as i32))
}
