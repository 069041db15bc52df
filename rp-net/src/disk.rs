//! How much room there is on disk.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes that this user may still write to the file system of a folder.
///
/// # Errors
/// There is no such folder, or what the kernel says.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let name = CString::new(folder.as_os_str().as_bytes())?;
    let mut room = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the name ends in a zero, and the kernel writes at most one value of this type to where it is asked to.
    if unsafe { libc::statvfs(name.as_ptr(), room.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before, and of integers alone, for which every bit pattern is a value.
    let room = unsafe { room.assume_init() };
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}
