//! What a network interface's driver says of it, asked by name in this network namespace: MTU and driver.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// linux/ethtool.h
const ETHTOOL_GDRVINFO: u32 = 0x03;
/// struct ethtool_drvinfo: command, driver, version, firmware, bus, and counts that are of no use here.
const DRIVER_INFO_BYTES: usize = 196;
const DRIVER_NAME_BYTES: usize = 32;

/// struct ifreq, as long as the kernel reads it.
#[repr(C)]
struct Asked {
    name: [u8; libc::IFNAMSIZ],
    value: Value,
}

#[repr(C)]
union Value {
    number: libc::c_int,
    data: *mut [u8; DRIVER_INFO_BYTES],
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
    let mut info = [0u8; DRIVER_INFO_BYTES];
    info[..4].copy_from_slice(&ETHTOOL_GDRVINFO.to_ne_bytes());
    ask(interface, SIOCETHTOOL, Value { data: &raw mut info })?;
    let name = &info[4..4 + DRIVER_NAME_BYTES];
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
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
    // SAFETY: the kernel reads and writes a struct ifreq, which is alive. `mtu` gives it no pointer, `driver` one to its own
    // array, which outlives this call and is as long as the struct of the only command that is asked by it.
    let code = unsafe { libc::ioctl(socket.as_raw_fd(), request as _, &raw mut asked) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(asked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_mtu_and_no_other_interface_of_that_name() {
        assert!(mtu("lo").expect("lo exists") > 1280);
        assert!(mtu("nosuch0").is_err() && driver("nosuch0").is_err());
        assert!(mtu("a-name-that-is-far-too-long").is_err());
    }
}
