//! Socket options that socket2 lacks: one reader and one writer of plain values.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an option of `level` to a plain C value.
///
/// # Errors
/// What the kernel says.
pub(crate) fn set<T: Copy>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of `value`, which lives until the call returns; the kernel only reads.
    let code = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const *value).cast(), size_of::<T>() as libc::socklen_t)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Plain integers, for which every bit pattern is a value.
pub(crate) trait Plain: Copy {}
impl Plain for i32 {}
impl<const N: usize> Plain for [u32; N] {}
impl<const N: usize> Plain for [u64; N] {}

/// Reads an option of `level`. What the kernel leaves unwritten is zero.
///
/// # Errors
/// What the kernel says.
pub(crate) fn get<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, which is the size of `value`.
    let code = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before, and `Plain` admits every bit pattern.
    Ok(unsafe { value.assume_init() })
}
