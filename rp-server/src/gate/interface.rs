//! Network interfaces of this namespace, by the kernel's own list: /sys shows those of the namespace it was mounted in.

use std::ffi::CStr;
use std::io;

use anyhow::{Context, Result, bail};
use aya::programs::ProgramError;

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
    up: bool,
    loopback: bool,
}

/// The interfaces asked for, or, when none was, all that are up, loopback excepted.
///
/// # Errors
/// When one that was asked for does not exist; names those that do.
pub fn choose(names: &[String]) -> Result<Vec<Interface>> {
    let all = list().context("the kernel does not list its interfaces")?;
    if names.is_empty() {
        return Ok(all.into_iter().filter(|interface| interface.up && !interface.loopback).collect());
    }
    let mut chosen: Vec<Interface> = Vec::new();
    for name in names {
        let Some(found) = all.iter().find(|interface| interface.name == *name) else {
            let known: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
            bail!("there is no interface {name} here; there are: {}", known.join(", "));
        };
        if !chosen.contains(found) {
            chosen.push(found.clone());
        }
    }
    Ok(chosen)
}

/// Why XDP did not attach, in words where the kernel's number has a known cause.
pub fn explain(error: &ProgramError) -> String {
    let ProgramError::SyscallError(syscall) = error else { return error.to_string() };
    let hint = match syscall.io_error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "this driver has no XDP",
        Some(libc::ERANGE) => "the MTU is too large for one page",
        Some(libc::EBUSY) => "another XDP program is attached; `ip link set dev NAME xdp off` removes it",
        Some(libc::EEXIST) => "another XDP program is attached in another mode",
        Some(libc::EPERM) => "not permitted",
        _ => return syscall.io_error.to_string(),
    };
    hint.to_string()
}

fn list() -> io::Result<Vec<Interface>> {
    let mut head: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the call fills `head` with a list that is ours until freeifaddrs below.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut next = head;
    while !next.is_null() {
        // SAFETY: `next` is not null and is an entry of the list, which is not freed yet.
        let entry = unsafe { &*next };
        // SAFETY: the name of an entry is a C string that lives as long as the list.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        // SAFETY: takes a C string, and touches nothing else.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index != 0 && interfaces.iter().all(|interface| interface.index != index) {
            interfaces.push(Interface {
                name: name.to_string_lossy().into_owned(),
                index,
                up: entry.ifa_flags & libc::IFF_UP as u32 != 0,
                loopback: entry.ifa_flags & libc::IFF_LOOPBACK as u32 != 0,
            });
        }
        next = entry.ifa_next;
    }
    // SAFETY: `head` came from getifaddrs, and nothing of the list is used after this.
    unsafe { libc::freeifaddrs(head) };
    Ok(interfaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_taken_only_by_name() {
        let all = choose(&[]).expect("interfaces are listed");
        assert!(all.iter().all(|interface| interface.name != "lo"));
        let lo = choose(&["lo".to_string(), "lo".to_string()]).expect("lo exists");
        assert_eq!(lo.len(), 1);
    }

    #[test]
    fn an_unknown_interface_is_refused_by_name() {
        let error = choose(&["nosuch0".to_string()]).expect_err("it does not exist");
        assert!(error.to_string().contains("nosuch0") && error.to_string().contains("lo"), "{error}");
    }
}
