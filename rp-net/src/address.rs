//! Addresses between the standard library, the wire and the kernel.
//!
//! Inside the house an address is a [`Peer`]: IPv6, or IPv4 mapped into it. Sockets of both families meet here, so that
//! no one else needs to know which of them a datagram came through.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use rp_core::wire::Peer;

/// The address of ours that a datagram was sent to, and the interface it came in by; all zero when the socket is bound
/// to one address and so need not be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Local {
    /// Address, network order; IPv4 as `::ffff:a.b.c.d`.
    pub ip: [u8; 16],
    /// Interface index; only replies to link-local addresses use it.
    pub interface: u32,
}

/// Address family of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4 alone.
    V4,
    /// IPv6; with the wildcard address IPv4 too.
    V6,
}

/// The standard library's address as ours. A scope id is lost.
pub fn peer_of(address: SocketAddr) -> Peer {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    Peer { ip: ip.octets(), port: address.port() }
}

/// Our address as the standard library's: mapped addresses come back as IPv4.
pub fn address_of(peer: &Peer) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(peer.ip).to_canonical(), peer.port)
}

/// An IPv4 address, network order, mapped into IPv6.
#[inline]
pub(crate) fn mapped(v4: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = v4;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// The last four bytes: the IPv4 address of a mapped one.
#[inline]
pub(crate) fn unmapped(ip: &[u8; 16]) -> [u8; 4] {
    [ip[12], ip[13], ip[14], ip[15]]
}

/// Is it fe80::/10, where an address means nothing without its interface?
#[inline]
pub(crate) fn is_link_local(ip: &[u8; 16]) -> bool {
    ip[0] == 0xfe && ip[1] & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_there_and_back() {
        for text in ["127.0.0.2:2015", "[::1]:1", "[2001:db8::7]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().expect("a literal");
            assert_eq!(address_of(&peer_of(address)), address);
        }
    }

    #[test]
    fn an_ipv4_address_and_its_mapped_form_are_one_peer() {
        let plain: SocketAddr = "10.1.2.3:9".parse().expect("a literal");
        let mapped: SocketAddr = "[::ffff:10.1.2.3]:9".parse().expect("a literal");
        assert_eq!(peer_of(plain), peer_of(mapped));
    }
}
