//! UDP sockets: groups of listening ones, one per worker, and the client's.
//!
//! All are non-blocking. A socket on a wildcard address asks the kernel which address each datagram was sent to, so that
//! replies leave from there; a socket on one address does not need to, and skips that cost. Buffers are forced past the
//! system's limit where the process may, since the default holds some fifty datagrams and bursts are larger.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use rp_core::wire::Peer;
use socket2::{Domain, Protocol, Socket, Type};

use crate::address::{Family, peer_of};
use crate::option;

/// Bytes to ask for as socket buffers. The kernel doubles them for its own book-keeping.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// Receive buffer.
    pub receive_bytes: usize,
    /// Send buffer.
    pub send_bytes: usize,
}

/// A non-blocking UDP socket.
pub struct UdpSocket {
    socket: Socket,
    pub(crate) family: Family,
    pub(crate) asks_local: bool,
    pub(crate) remote: Option<Peer>,
    local: SocketAddr,
}

impl UdpSocket {
    /// A group of `count` sockets on one address with SO_REUSEPORT, in the order of their index in the group.
    ///
    /// `[::]` serves IPv4 too, and becomes `0.0.0.0` where IPv6 is off. Port 0 lets the kernel choose one for the group.
    ///
    /// # Errors
    /// The address is not ours, the port is taken (by anyone, another server of ours included), or the system refuses.
    pub fn listen(address: SocketAddr, count: usize, buffers: Buffers) -> Result<Vec<UdpSocket>> {
        let mut address = match probe(address) {
            Err(e) if address.ip() == IpAddr::from([0u8; 16]) && without_ipv6(&e) => {
                let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                probe(v4).map(|()| v4).map_err(|e| (v4, e))
            }
            other => other.map(|()| address).map_err(|e| (address, e)),
        }
        .map_err(|(tried, e)| refusal(tried, e))?;
        let mut group = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = Self::open(address, true, buffers).map_err(|e| refusal(address, e))?;
            address.set_port(socket.local.port());
            group.push(socket);
        }
        Ok(group)
    }

    /// A client's socket towards `server`, from `source` if given. Connected sockets cost the kernel less per datagram
    /// and tell of an unreachable port.
    ///
    /// # Errors
    /// The source is not ours, there is no route, or the system refuses.
    pub fn towards(server: SocketAddr, source: Option<IpAddr>, buffers: Buffers) -> Result<UdpSocket> {
        let any = match server {
            SocketAddr::V4(_) => IpAddr::from([0u8; 4]),
            SocketAddr::V6(_) => IpAddr::from([0u8; 16]),
        };
        let from = SocketAddr::new(source.unwrap_or(any), 0);
        let mut socket = Self::open(from, false, buffers)
            .with_context(|| format!("opening a UDP socket on {from}; is {} an address of this machine?", from.ip()))?;
        socket
            .socket
            .connect(&server.into())
            .with_context(|| format!("connecting a UDP socket from {from} to {server}; is there a route?"))?;
        socket.local = local_of(&socket.socket)?;
        socket.remote = Some(peer_of(server));
        socket.asks_local = false;
        Ok(socket)
    }

    /// A lone unconnected socket on `address`.
    ///
    /// # Errors
    /// The address is not ours or taken, or the system refuses.
    pub fn unconnected(address: SocketAddr, buffers: Buffers) -> Result<UdpSocket> {
        Self::open(address, false, buffers).map_err(|e| refusal(address, e))
    }

    fn open(address: SocketAddr, shared: bool, buffers: Buffers) -> io::Result<UdpSocket> {
        let socket = fresh(address)?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_port(shared)?;
        let asks_local = address.ip().is_unspecified();
        let family = match address {
            SocketAddr::V4(_) => Family::V4,
            SocketAddr::V6(_) => Family::V6,
        };
        let opened = UdpSocket { socket, family, asks_local, remote: None, local: address };
        opened.grow(buffers)?;
        if asks_local {
            let (level, name) = match family {
                Family::V4 => (libc::IPPROTO_IP, libc::IP_PKTINFO),
                Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            };
            option::set(opened.as_fd(), level, name, &1i32)?;
        }
        opened.socket.bind(&address.into())?;
        let local = local_of(&opened.socket)?;
        Ok(UdpSocket { local, ..opened })
    }

    /// The socket without what is ours.
    pub fn into_std(self) -> std::net::UdpSocket {
        self.socket.into()
    }

    /// Asks for the buffers by force, which needs CAP_NET_ADMIN, else within the limit of the system.
    fn grow(&self, buffers: Buffers) -> io::Result<()> {
        let force = |name: i32, bytes: usize| {
            let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
            option::set(self.as_fd(), libc::SOL_SOCKET, name, &bytes).is_ok()
        };
        if !force(libc::SO_RCVBUFFORCE, buffers.receive_bytes) {
            self.socket.set_recv_buffer_size(buffers.receive_bytes)?;
        }
        if !force(libc::SO_SNDBUFFORCE, buffers.send_bytes) {
            self.socket.set_send_buffer_size(buffers.send_bytes)?;
        }
        Ok(())
    }

    /// Where the socket is bound.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The receive buffer that the kernel granted, in bytes of its own accounting (twice what was asked for).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive_buffer_bytes(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// The send buffer that the kernel granted, in bytes of its own accounting.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        self.socket.send_buffer_size()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn fresh(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Only the wildcard serves IPv4 as well; [::1] and 127.0.0.1 can then be two groups.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

/// SO_REUSEPORT would let a second server of the same user in without a word, to steal half of the datagrams: a socket
/// without it finds out first.
fn probe(address: SocketAddr) -> io::Result<()> {
    fresh(address)?.bind(&address.into())
}

fn without_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn local_of(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

fn refusal(address: SocketAddr, error: io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that has this port, or choose another",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine (see `ip address`)",
        io::ErrorKind::PermissionDenied => "choose a port of 1024 or above, or run as root",
        _ => "see what the system said",
    };
    anyhow::Error::new(error).context(format!("cannot listen on UDP {address}: {remedy}"))
}
