//! Where HTTP is served: a TCP address or a unix socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::admin::serve::PrivateSocket;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// Whoever takes nothing of what was sent for so long is gone.
const STALLED: Duration = Duration::from_secs(30);

/// What `--http` names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Nowhere.
    Off,
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket that its owner alone can open.
    Unix(PathBuf),
}

impl Place {
    /// Its TCP address, if it is one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Place::Tcp(address) => Some(*address),
            Place::Off | Place::Unix(_) => None,
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("unix:")) {
            ("off", _) => Ok(Place::Off),
            (_, Some("")) => Err("unix: needs a path behind it".to_string()),
            (_, Some(path)) => Ok(Place::Unix(path.into())),
            (_, None) => text
                .parse()
                .map(Place::Tcp)
                .map_err(|_| "an address and port like 127.0.0.1:2016 or [::1]:2016, unix:PATH, or off".to_string()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Off => f.write_str("off"),
            Place::Tcp(address) => write!(f, "http://{address}/"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket.
pub(super) enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(PrivateSocket),
}

impl Listener {
    /// Binds; to be called inside a runtime.
    ///
    /// # Errors
    /// What the system says: another program has the port, as a rule.
    pub(super) fn bind(place: &Place) -> Result<Listener> {
        match place {
            Place::Unix(path) => {
                Ok(Listener::Unix(PrivateSocket::bind(path.clone(), "HTTP socket", "--http unix:PATH")?))
            }
            Place::Tcp(address) => bind_tcp(*address).with_context(|| {
                format!(
                    "serving HTTP at {address}: if another server has the port, name a free one by --http \
                     127.0.0.1:PORT, or give --http off"
                )
            }),
            Place::Off => unreachable!("off is not served"),
        }
    }

    /// Is it reached from this machine alone, by an address?
    pub(super) fn is_loopback(&self) -> bool {
        matches!(self, Listener::Tcp(_, address) if address.ip().is_loopback())
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Unix(socket) => Ok(Stream::Unix(socket.accept().await?)),
            Listener::Tcp(listener, _) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                // A place that is lost to somebody asleep is lost to everybody.
                SockRef::from(&stream).set_tcp_user_timeout(Some(STALLED))?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(_, address) => write!(f, "http://{address}/"),
            Listener::Unix(socket) => write!(f, "unix:{}", socket.path().display()),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> Result<Listener> {
    let kind = socket2::Type::STREAM.nonblocking();
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    Ok(Listener::Tcp(listener, bound))
}

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, task: &mut TaskContext<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(task, room),
            Stream::Unix(stream) => Pin::new(stream).poll_read(task, room),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(task, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(task),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(task),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_a_socket_or_nowhere() {
        let check = |text: &str, place: Option<Place>| assert_eq!(text.parse::<Place>().ok(), place, "{text}");
        check("off", Some(Place::Off));
        check("[::1]:80", Some(Place::Tcp("[::1]:80".parse().expect("a literal"))));
        check("unix:/run/x.sock", Some(Place::Unix("/run/x.sock".into())));
        check("unix:", None);
        check("2016", None);
        check("localhost:2016", None);
    }
}
