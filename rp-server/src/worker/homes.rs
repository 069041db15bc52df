//! The addresses of ours that a datagram may be for, since no socket looks at the address of what comes past the stack.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use rp_core::wire::{Origin, words_of};
use rp_net::address::{Local, peer_of};
use rp_net::socket::UdpSocket;

use super::doors::Door;

/// Addresses of this machine that are known; datagrams for further ones are dropped as for others.
const HOMES_MAX: usize = 256;

/// What is listened on, and this machine's addresses, which may change at any time.
pub struct Homes {
    listens: Vec<Listen>,
    own: Box<[[AtomicU64; 2]]>,
    count: AtomicUsize,
}

struct Listen {
    ip: [u64; 2],
    port: u16,
    /// Of which addresses it stands for all, if it does.
    any: Option<Any>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Any {
    V4,
    Both,
}

impl Homes {
    /// For sockets bound to these addresses, in the order of their doors.
    pub fn new<'a>(sockets: impl IntoIterator<Item = &'a UdpSocket>) -> Homes {
        let listens = sockets.into_iter().map(|socket| Listen::of(socket.local_address())).collect();
        let own = (0..HOMES_MAX).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        let homes = Homes { listens, own, count: AtomicUsize::new(0) };
        homes.refresh();
        homes
    }

    /// Asks the system for this machine's addresses; when it does not answer, the former stay. A worker that looks meanwhile
    /// may miss one that moved, and its client asks again.
    pub fn refresh(&self) {
        let Ok(addresses) = rp_net::link::addresses() else { return };
        let count = addresses.len().min(HOMES_MAX);
        for (place, address) in self.own.iter().zip(&addresses) {
            let words = words_of(address);
            place[0].store(words[0], Relaxed);
            place[1].store(words[1], Relaxed);
        }
        self.count.store(count, Relaxed);
    }

    /// The door of a datagram for this address of ours, as its socket would have it; none when it is not ours.
    pub(super) fn door(&self, to: &Origin, interface: u32) -> Option<Door> {
        let exact = |listen: &Listen| listen.any.is_none() && listen.ip == to.ip;
        let stands = |listen: &Listen| listen.any.is_some_and(|any| any == Any::Both || is_v4(to.ip));
        let find = |wanted: &dyn Fn(&Listen) -> bool| {
            self.listens.iter().position(|listen| listen.port == to.port && wanted(listen))
        };
        if let Some(socket) = find(&exact) {
            return Some(Door { socket: socket as u16, local: Local::default(), cable: None });
        }
        let socket = find(&stands)?;
        let own = &self.own[..self.count.load(Relaxed)];
        let is_own = own.iter().any(|place| [place[0].load(Relaxed), place[1].load(Relaxed)] == to.ip);
        is_own.then(|| Door { socket: socket as u16, local: Local { ip: to.ip_bytes(), interface }, cable: None })
    }
}

impl Listen {
    fn of(address: SocketAddr) -> Listen {
        let any = match address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => Some(Any::V4),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => Some(Any::Both),
            _ => None,
        };
        Listen { ip: Origin::from(&peer_of(address)).ip, port: address.port(), any }
    }
}

/// Is it IPv4, mapped into IPv6?
pub(super) fn is_v4(ip: [u64; 2]) -> bool {
    ip[0] == 0 && ip[1] & 0xffff_ffff == 0xffff_0000
}

#[cfg(test)]
mod tests {
    use rp_net::socket::Buffers;

    use super::*;

    #[test]
    fn a_datagram_finds_the_door_of_its_address_and_strangers_find_none() {
        let open = |address: &str| {
            let buffers = Buffers { receive_bytes: 4096, send_bytes: 4096 };
            UdpSocket::unconnected(address.parse().expect("a literal"), buffers).expect("a free port")
        };
        let sockets = [open("127.0.0.1:0"), open("0.0.0.0:0")];
        let ports = sockets.each_ref().map(|socket| socket.local_address().port());
        let homes = Homes::new(&sockets);
        let door = |ip: &str, port| {
            let to = Origin::from(&peer_of(SocketAddr::new(ip.parse().expect("a literal"), port)));
            homes.door(&to, 3).map(|door| (door.socket, door.local.interface))
        };
        assert_eq!(door("127.0.0.1", ports[0]), Some((0, 0)), "a socket on one address is not told which");
        assert_eq!(door("127.0.0.1", ports[1]), Some((1, 3)), "loopback is an address of this machine");
        assert_eq!(door("192.0.2.1", ports[1]), None, "somebody else's");
        assert_eq!(door("127.0.0.2", ports[0]), None);
        assert_eq!(door("::1", ports[1]), None, "0.0.0.0 does not stand for IPv6");
        assert_eq!(door("127.0.0.1", 1), None);
    }
}
