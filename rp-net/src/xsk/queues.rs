//! How many receive queues an interface has, by its driver's answer: /sys shows interfaces of the namespace it was mounted in.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// linux/ethtool.h
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// struct ethtool_channels: command; most rx, tx, other, combined; and how many there are of each.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    most: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// struct ifreq, as long as the kernel reads it.
#[repr(C)]
struct Asked {
    name: [u8; libc::IFNAMSIZ],
    data: *mut Channels,
    _rest: [u64; 2],
}

/// Receive queues of an interface; one where its driver has no notion of them.
///
/// # Errors
/// The name is too long, or no socket can be opened to ask.
pub fn queues(interface: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    let mut asked = Asked { name: [0; libc::IFNAMSIZ], data: &raw mut channels, _rest: [0; 2] };
    let name = asked.name.get_mut(..interface.len()).filter(|name| name.len() < libc::IFNAMSIZ);
    name.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(interface.as_bytes());
    // SAFETY: no pointers are passed.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by no one else.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: the kernel reads a struct ifreq and writes a struct ethtool_channels, both alive and as long as it takes them.
    let code = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut asked) };
    match code {
        0 => Ok((channels.rx + channels.combined).max(1)),
        _ => Ok(1),
    }
}
