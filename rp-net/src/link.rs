//! The link under a socket: which interface an address of ours is on, and who is the next at its other end.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// An Ethernet address.
pub type Mac = [u8; 6];

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

/// The interface that has an IPv4 address.
///
/// # Errors
/// What the kernel says, or that no interface has it.
pub fn of_address(ip: Ipv4Addr) -> io::Result<Link> {
    let mut first = std::ptr::null_mut();
    // SAFETY: the kernel's answer is put into `first`, which is freed below.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let found = find(first, ip);
    // SAFETY: made by getifaddrs, freed once.
    unsafe { libc::freeifaddrs(first) };
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no interface has the address {ip}")))
}

fn find(first: *const libc::ifaddrs, ip: Ipv4Addr) -> Option<Link> {
    let name = rows(first).find(|row| ipv4_of(row) == Some(ip)).map(name_of)?;
    rows(first).filter(|row| name_of(row) == name).find_map(|row| {
        let address = of_family(row, libc::AF_PACKET)?.cast::<libc::sockaddr_ll>();
        // SAFETY: an AF_PACKET address is a sockaddr_ll.
        let link = unsafe { address.read_unaligned() };
        let mac = *link.sll_addr.first_chunk()?;
        Some(Link { name: name.clone(), index: link.sll_ifindex as u32, mac })
    })
}

fn rows<'a>(first: *const libc::ifaddrs) -> impl Iterator<Item = &'a libc::ifaddrs> {
    // SAFETY: the list is alive while `find` runs, and ends in a null pointer.
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

fn ipv4_of(row: &libc::ifaddrs) -> Option<Ipv4Addr> {
    let address = of_family(row, libc::AF_INET)?.cast::<libc::sockaddr_in>();
    // SAFETY: an AF_INET address is a sockaddr_in.
    Some(Ipv4Addr::from(u32::from_be(unsafe { address.read_unaligned() }.sin_addr.s_addr)))
}

/// The Ethernet address of a neighbour that was spoken to lately.
///
/// # Errors
/// The kernel's table cannot be read, or does not know it: then it is behind a router, or was never spoken to.
pub fn neighbour(ip: IpAddr) -> io::Result<Mac> {
    let table = std::fs::read_to_string("/proc/net/arp")?;
    let known = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.first()?.parse() != Ok(ip) {
            return None;
        }
        let bytes =
            fields.get(3)?.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect::<Option<Vec<u8>>>()?;
        Mac::try_from(bytes).ok()
    });
    known.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{ip} is no neighbour on an Ethernet link")))
}
