//! The files of this network namespace's interfaces: a sysfs of its own, seen by nobody else and gone with the value.
//!
//! /sys shows the namespace that it was mounted in, which under `nsenter --net` is another: a file of the same name there
//! would be another machine's card.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

/// linux/mount.h
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// A sysfs of the network namespace in which it was opened.
pub struct Sysfs {
    mount: OwnedFd,
}

impl Sysfs {
    /// Mounts it, in no place of the file system.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN.
    pub fn of_this_namespace() -> io::Result<Sysfs> {
        // SAFETY: the name ends in a zero.
        let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"sysfs".as_ptr(), FSOPEN_CLOEXEC) })?;
        let (fd, none) = (context.as_raw_fd(), std::ptr::null::<libc::c_char>());
        // SAFETY: `context` is open, and this command takes neither key nor value.
        let code = unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, none, none, 0) };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: no pointers are passed.
        let mount = owned(unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0) })?;
        Ok(Sysfs { mount })
    }

    /// A file or folder of an interface, valid as long as this value.
    pub fn of_interface(&self, interface: &str, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/class/net/{interface}/{file}", self.mount.as_raw_fd()))
    }
}

fn owned(raw: libc::c_long) -> io::Result<OwnedFd> {
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by no one else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
}
