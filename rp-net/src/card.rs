//! What a network interface's driver says of it, asked by name in this network namespace: MTU, driver and receive queues.
//! /sys shows interfaces of the namespace it was mounted in.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// linux/ethtool.h
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// struct ethtool_drvinfo: behind the name version, firmware, bus, and counts that are of no use here.
#[repr(C)]
struct DriverInfo {
    command: u32,
    name: [u8; 32],
    _rest: [u8; 160],
}

/// struct ethtool_channels: how many there may be of each, and how many there are.
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
    value: Value,
}

#[repr(C)]
union Value {
    number: libc::c_int,
    data: *mut libc::c_void,
    _rest: [u64; 3],
}

/// The largest packet that leaves by an interface, in bytes.
///
/// # Errors
/// There is no such interface, or no socket can be opened to ask.
pub fn mtu(interface: &str) -> io::Result<u32> {
    let asked = ask(interface, libc::SIOCGIFMTU as libc::c_ulong, Value { _rest: [0; 3] })?;
    // SAFETY: zeroed before and then written by the kernel as an integer, for which every bit pattern is a value.
    Ok(unsafe { asked.value.number } as u32)
}

/// The name of an interface's driver, such as `veth` or `mlx5_core`.
///
/// # Errors
/// As [`mtu`], or that the driver does not say.
pub fn driver(interface: &str) -> io::Result<String> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, name: [0; 32], _rest: [0; 160] };
    ask(interface, SIOCETHTOOL, Value { data: (&raw mut info).cast() })?;
    let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Receive queues of an interface; one where its driver has no notion of them.
///
/// # Errors
/// As [`mtu`].
pub fn queues(interface: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    match ask(interface, SIOCETHTOOL, Value { data: (&raw mut channels).cast() }) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
        asked => asked.map(|_| (channels.rx + channels.combined).max(1)),
    }
}

fn ask(interface: &str, request: libc::c_ulong, value: Value) -> io::Result<Asked> {
    let mut asked = Asked { name: [0; libc::IFNAMSIZ], value };
    let name = asked.name.get_mut(..interface.len()).filter(|name| name.len() < libc::IFNAMSIZ);
    name.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(interface.as_bytes());
    // SAFETY: no pointers are passed.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by no one else.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: the kernel reads and writes a struct ifreq, which is alive. `mtu` gives it no pointer, `driver` and
    // `queues` one to the struct of the command in it, which outlives this call.
    let code = unsafe { libc::ioctl(socket.as_raw_fd(), request as _, &raw mut asked) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(asked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_mtu_and_one_queue_and_a_false_name_is_refused() {
        assert!(mtu("lo").expect("lo exists") > 1280);
        assert_eq!(queues("lo").expect("lo exists"), 1);
        for name in ["nosuch0", "a-name-that-is-far-too-long"] {
            assert!(mtu(name).is_err() && driver(name).is_err() && queues(name).is_err());
        }
    }
}
