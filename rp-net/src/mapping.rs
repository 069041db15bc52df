//! Kernel maps that this process reads and writes like its own memory.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rp_core::line::Line;

/// The first `count` lines of a BPF array that was made with BPF_F_MMAPABLE. They stay mapped as long as the process lives.
///
/// # Errors
/// What the kernel says: no array, not made to be mapped, or smaller than that.
pub fn lines(map: BorrowedFd<'_>, count: usize) -> io::Result<&'static [Line]> {
    if count == 0 {
        return Ok(&[]);
    }
    let bytes = count * size_of::<Line>();
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours.
    let at = unsafe {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        libc::mmap(ptr::null_mut(), bytes, protection, flags, map.as_raw_fd(), 0)
    };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has room for `count` lines, begins at a page, is never unmapped, and a line is eight atomics, for
    // which any bits are values and which others may change at any time.
    Ok(unsafe { std::slice::from_raw_parts(at.cast::<Line>(), count) })
}
