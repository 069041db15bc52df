//! How much room there is on disk, of what kind it is, and whether it may be used.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// May this user read and write a file or folder? Unlike opening it, asking costs the process none of its locks.
///
/// # Errors
/// What the kernel says to it.
pub fn may_write(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name ends in a zero.
    match unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::R_OK | libc::W_OK, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

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

/// The kernel's number for the kind of file system that a folder is on (linux/magic.h).
///
/// # Errors
/// There is no such folder, or what the kernel says.
pub fn kind(folder: &Path) -> io::Result<u64> {
    let name = CString::new(folder.as_os_str().as_bytes())?;
    let mut told = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the name ends in a zero, and the kernel writes at most one value of this type to where it is asked to.
    if unsafe { libc::statfs(name.as_ptr(), told.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before, and of integers alone, for which every bit pattern is a value.
    let told = unsafe { told.assume_init() };
    // The number has 32 bits, whatever the width and sign of the field.
    Ok(told.f_type as u64 & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_of_its_own_kind() {
        assert_eq!(kind(Path::new("/proc")).expect("it is mounted"), 0x9fa0);
        assert!(kind(Path::new("/nonexistent")).is_err());
    }
}
