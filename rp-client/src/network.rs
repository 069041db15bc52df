//! The sockets of a client and their batches, or the way past them: where the fleet's datagrams leave and answers come in.

mod cable;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rp_core::limits::DATAGRAM_MAX;
use rp_net::xsk::FRAME_MAX;
use rp_net::{Buffers, Local, RecvBatch, SendBatch, Sleeper, UdpSocket};

use crate::fleet::Outbox;
use cable::Cable;

/// Asked for each socket; what the system grants unprivileged processes is less, and enough for small fleets.
const BUFFERS: Buffers = Buffers { receive_bytes: 16 << 20, send_bytes: 4 << 20 };

/// Batches taken from one socket before the others have their turn.
const BATCHES_MAX: usize = 64;

/// How datagrams leave and answers come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Transport {
    /// By UDP sockets
    #[default]
    Sockets,
    /// By AF_XDP, past the network stack
    AfXdp,
}

/// The sending half.
pub struct Post {
    sockets: Vec<UdpSocket>,
    batches: Vec<SendBatch>,
    cable: Option<Cable>,
    unsent: u64,
    /// The errno of the last refusal.
    pub errno: Option<i32>,
    broken: Option<anyhow::Error>,
}

/// Sockets, batches and the sleep between them.
pub struct Network {
    /// The sending half, which is the fleet's outbox.
    pub post: Post,
    server: SocketAddr,
    batch: RecvBatch,
    sleeper: Sleeper,
    /// Sockets, then queues, whose last batch was full: more may wait there.
    hot: Vec<bool>,
    /// The payload of a frame while it is looked at.
    payload: Box<[u8; FRAME_MAX]>,
}

impl Network {
    /// `count` connected sockets towards the server, from the sources in turn; `segments` as in
    /// [`SendBatch::joining`].
    ///
    /// # Errors
    /// A source is not ours, there is no route, more sources than sockets are given, or the way past the sockets is not open.
    pub fn open(
        server: SocketAddr,
        sources: &[IpAddr],
        count: usize,
        segments: bool,
        transport: Transport,
    ) -> Result<Self> {
        if sources.len() > count {
            bail!("{} sources need as many sockets; raise --sockets above {count}", sources.len());
        }
        let sockets = (0..count)
            .map(|i| UdpSocket::towards(server, sources.get(i % sources.len().max(1)).copied(), BUFFERS))
            .collect::<Result<Vec<_>>>()?;
        let mut sleeper = Sleeper::new(&sockets).context("making an eventfd")?;
        let batches =
            std::iter::repeat_with(if segments { SendBatch::joining } else { SendBatch::new }).take(count).collect();
        let locals: Vec<SocketAddr> = sockets.iter().map(UdpSocket::local_address).collect();
        let cable = match transport {
            Transport::Sockets => None,
            Transport::AfXdp if segments => bail!("--segment joins what leaves by sockets: leave it out with af-xdp"),
            Transport::AfXdp => {
                Some(Cable::lay(server, &locals).context("no AF_XDP; --transport sockets does without")?)
            }
        };
        cable.iter().flat_map(Cable::fds).for_each(|fd| sleeper.watch(fd));
        let hot = vec![false; count + cable.as_ref().map_or(0, Cable::len)];
        let post = Post { sockets, batches, cable, unsent: 0, errno: None, broken: None };
        Ok(Self { post, server, batch: RecvBatch::new(), sleeper, hot, payload: Box::new([0; FRAME_MAX]) })
    }

    /// The server's address, and ours of a socket.
    pub fn ends(&self, socket: usize) -> (SocketAddr, SocketAddr) {
        (self.server, self.post.sockets[socket].local_address())
    }

    /// Sockets.
    pub fn len(&self) -> usize {
        self.post.sockets.len()
    }

    /// Are there none? There is always one.
    pub fn is_empty(&self) -> bool {
        self.post.sockets.is_empty()
    }

    /// How datagrams travel, for the start-up block.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn description(&self) -> Result<String> {
        if let Some(cable) = &self.post.cable {
            return Ok(cable.description());
        }
        let bytes = self.post.sockets[0].receive_buffer_bytes().context("reading a socket's buffer size")?;
        let small = if bytes < 1 << 20 {
            " (small: bursts may overflow it; run as root or raise net.core.rmem_max)"
        } else {
            ""
        };
        Ok(format!("with {} kB of receive buffer each{small}", bytes / 1024))
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
        if i >= self.post.sockets.len() {
            return self.receive_frames(i, each);
        }
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

    fn receive_frames(&mut self, i: usize, each: &mut impl FnMut(&[u8], &mut Post)) -> Result<usize> {
        let queue = i - self.post.sockets.len();
        let Some(cable) = &mut self.post.cable else { return Ok(0) };
        let count = cable.receive(queue)?;
        self.hot[i] = count == rp_core::limits::RX_SLOTS;
        for frame in 0..count {
            let Some(cable) = &mut self.post.cable else { break };
            if let Some(len) = cable.read(queue, frame, &mut self.payload) {
                each(&self.payload[..len], &mut self.post);
            }
        }
        Ok(count)
    }

    /// Datagrams that our own sockets had no room for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn overflow(&self) -> Result<u64> {
        let lost = self.post.sockets.iter().map(UdpSocket::overflow).sum::<io::Result<u32>>();
        let lost = u64::from(lost.context("reading the drop counts of our sockets")?);
        Ok(lost + self.post.cable.as_ref().map_or(Ok(0), Cable::overflow)?)
    }

    /// Datagrams that the kernel refused to send.
    pub fn unsent(&self) -> u64 {
        self.post.unsent + self.post.cable.as_ref().map_or(0, |cable| cable.unsent)
    }

    /// Frames past the stack with false lengths or checksums.
    pub fn damaged(&self) -> u64 {
        self.post.cable.as_ref().map_or(0, |cable| cable.damaged)
    }
}

impl Post {
    /// Sends all that waits.
    ///
    /// # Errors
    /// A socket is broken.
    pub fn flush(&mut self) -> Result<()> {
        if let Some(cable) = &mut self.cable {
            cable.flush()?;
        }
        for i in 0..self.batches.len() {
            self.flush_one(i);
        }
        self.broken.take().map_or(Ok(()), Err)
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
            Err(error) => self.broken = Some(anyhow::Error::new(error).context("sending datagrams")),
        }
    }
}

impl Outbox for Post {
    fn slot(&mut self, socket: usize) -> &mut [u8; DATAGRAM_MAX] {
        if self.batches[socket].is_full() {
            self.flush_one(socket);
        }
        match &mut self.cable {
            Some(cable) => cable.slot(socket),
            None => self.batches[socket].slot(),
        }
    }

    fn commit(&mut self, socket: usize, len: usize) {
        if let Some(cable) = &mut self.cable {
            self.broken = cable.commit(socket, len).err().or(self.broken.take());
            return;
        }
        self.batches[socket].commit(len, &Default::default(), &Local::default());
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}
