//! The sockets of a client and their batches: where the fleet's datagrams leave and answers come in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rp_core::limits::DATAGRAM_MAX;
use rp_net::{Buffers, Local, RecvBatch, SendBatch, Sleeper, UdpSocket};

use crate::fleet::Outbox;

/// Asked for each socket; what the system grants unprivileged processes is less, and enough for small fleets.
const BUFFERS: Buffers = Buffers { receive_bytes: 16 << 20, send_bytes: 4 << 20 };

/// Batches taken from one socket before the others have their turn.
const BATCHES_MAX: usize = 64;

/// The sending half.
pub struct Post {
    sockets: Vec<UdpSocket>,
    batches: Vec<SendBatch>,
    /// Datagrams that the kernel refused to send.
    pub unsent: u64,
    /// The errno of the last refusal.
    pub errno: Option<i32>,
    broken: Option<io::Error>,
}

/// Sockets, batches and the sleep between them.
pub struct Network {
    /// The sending half, which is the fleet's outbox.
    pub post: Post,
    server: SocketAddr,
    batch: RecvBatch,
    sleeper: Sleeper,
    /// Sockets whose last batch was full: more may wait there.
    hot: Vec<bool>,
}

impl Network {
    /// `count` connected sockets towards the server, from the sources in turn; `segments` as in
    /// [`SendBatch::joining`].
    ///
    /// # Errors
    /// A source is not ours, there is no route, or more sources than sockets are given.
    pub fn open(server: SocketAddr, sources: &[IpAddr], count: usize, segments: bool) -> Result<Self> {
        if sources.len() > count {
            bail!("{} sources need as many sockets; raise --sockets above {count}", sources.len());
        }
        let sockets = (0..count)
            .map(|i| UdpSocket::towards(server, sources.get(i % sources.len().max(1)).copied(), BUFFERS))
            .collect::<Result<Vec<_>>>()?;
        let sleeper = Sleeper::new(&sockets).context("making an eventfd")?;
        let batches =
            std::iter::repeat_with(if segments { SendBatch::joining } else { SendBatch::new }).take(count).collect();
        let post = Post { sockets, batches, unsent: 0, errno: None, broken: None };
        Ok(Self { post, server, batch: RecvBatch::new(), sleeper, hot: vec![false; count] })
    }

    /// The server's address, and ours of a socket.
    pub fn ends(&self, socket: usize) -> (SocketAddr, SocketAddr) {
        (self.server, self.post.sockets[socket].local_address())
    }

    /// Sockets.
    pub fn len(&self) -> usize {
        self.hot.len()
    }

    /// Are there none? There is always one.
    pub fn is_empty(&self) -> bool {
        self.hot.is_empty()
    }

    /// Sleeps until a socket has datagrams or the time is over; not at all while one is known to have more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&mut self, timeout: Duration) -> Result<()> {
        let timeout = if self.hot.contains(&true) { Duration::ZERO } else { timeout };
        self.sleeper.wait(timeout).context("waiting for datagrams")?;
        Ok(())
    }

    /// Takes what waits at the sockets and hands it over one by one; returns how many. Answers come before all else: what is
    /// left in a full socket is lost.
    ///
    /// # Errors
    /// A socket is broken. An unreachable port is none: it is noted as a refusal.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8], &mut Post)) -> Result<usize> {
        let mut received = 0;
        for i in 0..self.hot.len() {
            self.hot[i] |= self.sleeper.readable(i);
            for _ in 0..BATCHES_MAX {
                if !self.hot[i] {
                    break;
                }
                received += self.receive_one(i, &mut each)?;
            }
        }
        Ok(received)
    }

    fn receive_one(&mut self, i: usize, each: &mut impl FnMut(&[u8], &mut Post)) -> Result<usize> {
        let count = match self.batch.receive(&self.post.sockets[i]) {
            Ok(count) => count,
            Err(error) if is_refusal(&error) => {
                self.post.errno = error.raw_os_error();
                0
            }
            Err(error) => return Err(error).context("receiving datagrams"),
        };
        self.hot[i] = count == rp_core::limits::RX_SLOTS;
        for slot in 0..count {
            each(self.batch.payload(slot), &mut self.post);
        }
        Ok(count)
    }

    /// Datagrams that our own sockets had no room for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn overflow(&self) -> Result<u64> {
        let lost = self.post.sockets.iter().map(UdpSocket::overflow).sum::<io::Result<u32>>();
        Ok(lost.context("reading the drop counts of our sockets")?.into())
    }

    /// Bytes of receive buffer that the system granted each socket.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive_buffer_bytes(&self) -> Result<usize> {
        self.post.sockets[0].receive_buffer_bytes().context("reading a socket's buffer size")
    }
}

impl Post {
    /// Sends all that waits.
    ///
    /// # Errors
    /// A socket is broken.
    pub fn flush(&mut self) -> Result<()> {
        for i in 0..self.batches.len() {
            self.flush_one(i);
        }
        match self.broken.take() {
            Some(error) => Err(error).context("sending datagrams"),
            None => Ok(()),
        }
    }

    fn flush_one(&mut self, i: usize) {
        if self.batches[i].is_empty() {
            return;
        }
        match self.batches[i].flush(&self.sockets[i]) {
            Ok(sent) => {
                self.unsent += sent.failed as u64;
                self.errno = sent.errno.or(self.errno);
            }
            Err(error) => self.broken = Some(error),
        }
    }
}

impl Outbox for Post {
    fn slot(&mut self, socket: usize) -> &mut [u8; DATAGRAM_MAX] {
        if self.batches[socket].is_full() {
            self.flush_one(socket);
        }
        self.batches[socket].slot()
    }

    fn commit(&mut self, socket: usize, len: usize) {
        self.batches[socket].commit(len, &Default::default(), &Local::default());
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}
