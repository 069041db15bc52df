//! The link under a socket: which interface an address of ours is on, and who is the next at its other end.

mod neighbours;

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::address::mapped;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The port for datagrams that nobody wants (RFC 863).
const DISCARD: u16 = 9;

/// An interface of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// The interface that has an address.
///
/// # Errors
/// What the kernel says, or that no interface has it.
pub fn of_address(ip: impl Into<IpAddr>) -> io::Result<Link> {
    let ip = ip.into();
    let found = with_rows(|first| rows(first).find(|row| address_of(row) == Some(ip)).map(name_of))?;
    named(&found.ok_or_else(|| absent(format!("no interface has the address {ip}")))?)
}

/// The interface of a name.
///
/// # Errors
/// What the kernel says, or that there is none.
pub fn named(name: &str) -> io::Result<Link> {
    let link = |row: &libc::ifaddrs| {
        let address = of_family(row, libc::AF_PACKET)?.cast::<libc::sockaddr_ll>();
        // SAFETY: an AF_PACKET address is a sockaddr_ll.
        let link = unsafe { address.read_unaligned() };
        let mac = *link.sll_addr.first_chunk()?;
        Some(Link { name: name_of(row), index: link.sll_ifindex as u32, mac })
    };
    let found = with_rows(|first| rows(first).filter(|row| name_of(row) == name).find_map(link))?;
    found.ok_or_else(|| absent(format!("there is no interface {name}")))
}

/// All addresses of this machine, network order; IPv4 as `::ffff:a.b.c.d`.
///
/// # Errors
/// What the kernel says.
pub fn addresses() -> io::Result<Vec<[u8; 16]>> {
    let bytes = |ip| match ip {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    };
    with_rows(|first| rows(first).filter_map(address_of).map(bytes).collect())
}

/// What is found in the kernel's list of interfaces and addresses.
fn with_rows<T>(find: impl FnOnce(*const libc::ifaddrs) -> T) -> io::Result<T> {
    let mut first = std::ptr::null_mut();
    // SAFETY: the kernel's answer is put into `first`, which is freed below.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let found = find(first);
    // SAFETY: made by getifaddrs, freed once.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

fn absent(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}

fn rows<'a>(first: *const libc::ifaddrs) -> impl Iterator<Item = &'a libc::ifaddrs> {
    // SAFETY: the list is alive while it is walked (`with_rows`), and ends in a null pointer.
    std::iter::successors(unsafe { first.as_ref() }, |row| unsafe { row.ifa_next.as_ref() })
}

fn name_of(row: &libc::ifaddrs) -> String {
    // SAFETY: every row has a name that ends in a zero.
    unsafe { CStr::from_ptr(row.ifa_name) }.to_string_lossy().into_owned()
}

fn of_family(row: &libc::ifaddrs, family: i32) -> Option<*const libc::sockaddr> {
    // SAFETY: an address, where there is one, begins with its family.
    let has_it = unsafe { row.ifa_addr.as_ref() }.is_some_and(|address| i32::from(address.sa_family) == family);
    has_it.then_some(row.ifa_addr.cast_const())
}

fn address_of(row: &libc::ifaddrs) -> Option<IpAddr> {
    if let Some(address) = of_family(row, libc::AF_INET) {
        // SAFETY: an AF_INET address is a sockaddr_in.
        let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
        return Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into());
    }
    let address = of_family(row, libc::AF_INET6)?.cast::<libc::sockaddr_in6>();
    // SAFETY: an AF_INET6 address is a sockaddr_in6.
    Some(Ipv6Addr::from(unsafe { address.read_unaligned() }.sin6_addr.s6_addr).into())
}

/// The Ethernet address of a neighbour at an interface of ours. One who was not spoken to lately is sent an empty datagram to the port for what is to
/// be discarded, so that the kernel asks for it.
///
/// # Errors
/// The kernel's table cannot be read, or does not come to know it: then it is behind a router.
pub fn neighbour(ip: IpAddr, through: &Link) -> io::Result<Mac> {
    for wait in [0, 10, 40, 200, 750] {
        std::thread::sleep(Duration::from_millis(wait));
        if let Some(mac) = neighbours::find(ip, through.index)? {
            return Ok(mac);
        }
        let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        std::net::UdpSocket::bind((any, 0))?.send_to(&[], (ip, DISCARD))?;
    }
    Err(absent(format!("{ip} is no neighbour on an Ethernet link")))
}
