//! AF_XDP: whole frames of one queue of one interface, read and written where the kernel puts them, past its network stack.
//!
//! The gate chooses the frames; this room knows nothing of what is in them. A frame that was received is lent until the next
//! batch; a frame to be sent is filled in place. The memory of both is one region, made at start: nothing is allocated per
//! frame. The crate `xdp` brings memory and rings; what it leaves out (whether the kernel wants to be woken, how much of a
//! ring is left, which mode it became) is read here.

mod gauge;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use anyhow::{Context, Result, anyhow};
use rp_core::limits::RX_SLOTS;
use xdp::socket::{SocketError, XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing, WakableTxRing, slab::Slab};

use crate::option;
use gauge::Gauge;
pub use watch::Watch;

/// Bytes of the longest frame.
pub const FRAME_MAX: usize = 2048;
/// Frames on their way out.
const TX_FRAMES: u32 = 2048;
/// Bytes of the socket's send buffer: in copy mode each frame on its way is charged to it.
const SEND_BUFFER_BYTES: i32 = 4 << 20;
/// Frames that one call takes in copy mode, where the kernel lets it be chosen (Linux 6.18; 32 before).
const TX_BUDGET: i32 = 2 * RX_SLOTS as i32;
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;
const _: () = assert!(TX_FRAMES.is_power_of_two());

/// What the driver allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Card and worker share the memory.
    ZeroCopy,
    /// The kernel copies each frame.
    Copy,
}

impl Mode {
    /// As it is said at start.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::ZeroCopy => "zero-copy",
            Mode::Copy => "copy",
        }
    }
}

/// The AF_XDP socket of one queue.
pub struct Xsk {
    // Dropped in this order: the rings and the socket before the memory that they speak of.
    rx: RxRing,
    fill: WakableFillRing,
    fill_gauge: Gauge,
    tx: WakableTxRing,
    tx_gauge: Gauge,
    completion: CompletionRing,
    socket: XdpSocket,
    batch: Packets,
    outgoing: Outgoing,
    /// Frames that the kernel has not got back yet.
    owed: usize,
    /// A vain look polls the queue.
    polls: bool,
    umem: Umem,
    mode: Mode,
}

// SAFETY: packets and gauges hold addresses of memory that belongs to this value and moves with it to another thread.
unsafe impl Send for Xsk {}

impl Xsk {
    /// Opens the socket of a queue, zero-copy where the driver can, and gives it `rx_frames` to fill, a power of two: so many may
    /// wait to be received. The kernel fills them in turn, so all of them pass through the caches whether many wait or few.
    ///
    /// # Errors
    /// What the kernel refused, and the remedy where it is known.
    pub fn open(interface: u32, queue: u32, rx_frames: u32) -> Result<Xsk> {
        let mut builder = XdpSocketBuilder::new().map_err(explain)?;
        let fd = builder.as_raw_fd();
        let memory = UmemCfgBuilder {
            frame_size: FrameSize::TwoK,
            frame_count: rx_frames + TX_FRAMES,
            ..UmemCfgBuilder::default()
        };
        let memory = memory.build().map_err(|error| anyhow!("{error}"))?;
        let mut umem = Umem::map(memory).context("no memory for frames")?;
        let (rx_count, tx_count) = (rx_frames, TX_FRAMES);
        let rings = RingConfigBuilder { rx_count, tx_count, fill_count: rx_frames, completion_count: TX_FRAMES };
        let rings = rings.build().map_err(|error| anyhow!("{error}"))?;
        let (rings, flags) = builder.build_wakable_rings(&umem, rings).map_err(explain)?;
        let (fill_gauge, tx_gauge) = Gauge::of_fill_and_tx(fd).context("cannot map the rings of an AF_XDP socket")?;
        let mut fill = rings.fill_ring;
        // SAFETY: the memory is dropped after rings and socket (the order of the fields of `Xsk`).
        unsafe { fill.enqueue(&mut umem, rx_frames as usize, false) }?;
        let socket = builder.bind(xdp::nic::NicIndex::new(interface), queue, flags).map_err(explain)?;
        let mut xsk = Xsk {
            rx: rings.rx_ring.expect("asked for"),
            fill,
            fill_gauge,
            tx: rings.tx_ring.expect("asked for"),
            tx_gauge,
            completion: rings.completion_ring,
            socket,
            batch: Packets::new(RX_SLOTS),
            outgoing: Outgoing { waiting: Packets::new(TX_FRAMES as usize), current: None },
            owed: 0,
            polls: false,
            umem,
            mode: Mode::Copy,
        };
        let options: [u32; 1] = option::get(xsk.as_fd(), libc::SOL_XDP, libc::XDP_OPTIONS)?;
        if options[0] & libc::XDP_OPTIONS_ZEROCOPY != 0 {
            xsk.mode = Mode::ZeroCopy;
        }
        // Both only make it faster; an older kernel, or one that grants no force, keeps its own.
        let _ = option::set(xsk.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SEND_BUFFER_BYTES);
        let _ = option::set(xsk.as_fd(), libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &TX_BUDGET);
        if xsk.fill_gauge.wants_waking() {
            wake_fill(fd)?;
        }
        Ok(xsk)
    }

    /// What the driver allowed.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// From here on a vain [`receive`](Self::receive) looks at the queue itself, as in [`crate::busy`].
    ///
    /// # Errors
    /// As there.
    pub fn poll_queue(&mut self, us: u32) -> io::Result<()> {
        crate::busy::poll_queue_of(self.as_fd(), us)?;
        self.polls = true;
        Ok(())
    }

    /// Reads the socket's own counters from another thread.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn watch(&self) -> io::Result<Watch> {
        Ok(Watch::new(self.as_fd().try_clone_to_owned()?))
    }

    /// Takes what waits, up to a full batch, and returns how many; the frames of the batch before go back to the kernel.
    ///
    /// # Errors
    /// The kernel does not take them back: the socket is of no more use.
    pub fn receive(&mut self) -> io::Result<usize> {
        self.owed += self.batch.held.len();
        for packet in self.batch.held.drain(..) {
            self.umem.free_packet(packet);
        }
        let owed = self.owed;
        // The ring takes all or nothing: the kernel may show a frame as received before it frees its place there.
        // SAFETY: as in `open`.
        self.owed -= unsafe { self.fill.enqueue(&mut self.umem, owed, false) }?;
        if owed > 0 && self.fill_gauge.wants_waking() {
            wake_fill(self.socket.as_raw_fd())?;
        }
        self.take();
        if self.polls && self.batch.held.is_empty() {
            wake_fill(self.socket.as_raw_fd())?;
            self.take();
        }
        Ok(self.batch.held.len())
    }

    fn take(&mut self) {
        // The ring answers from what it knew, and looks anew only when that was nothing.
        for _ in 0..2 {
            // SAFETY: the packets stay in `self`, beside their memory, and are lent no longer than it.
            unsafe { self.rx.recv(&self.umem, &mut self.batch) };
        }
    }

    /// A frame of the batch, from its Ethernet header on.
    #[inline]
    pub fn frame(&self, i: usize) -> &[u8] {
        &self.batch.held[i]
    }

    /// Room for one frame, the same until it is committed; none while all are on their way.
    #[inline]
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        self.outgoing.slot(&mut self.umem)
    }

    /// The first `len` bytes of the slot are a frame.
    #[inline]
    pub fn commit(&mut self, len: usize) {
        self.outgoing.commit(len);
    }

    /// Frames that wait for the next flush.
    pub fn waiting(&self) -> usize {
        self.outgoing.waiting.held.len()
    }

    /// Frames that the driver has not taken yet.
    pub fn unsent(&self) -> usize {
        self.outgoing.waiting.held.len() + self.tx_gauge.len()
    }

    /// Sends what waits; returns how many frames the driver did not take. What finds no room goes with the next flush.
    ///
    /// # Errors
    /// Only what no later frame could survive: the socket itself is bad. A link that is down or gone keeps its frames waiting.
    pub fn flush(&mut self) -> io::Result<usize> {
        // First of all: when every frame is on its way, nothing waits, and only this brings them back.
        self.completion.dequeue(&mut self.umem, TX_FRAMES as usize);
        if self.outgoing.waiting.held.is_empty() && self.tx_gauge.is_empty() {
            return Ok(0);
        }
        // SAFETY: as in `open`.
        unsafe { self.tx.send(&mut self.outgoing.waiting, false) }?;
        let mut refused = 0;
        while !self.tx_gauge.is_empty() && self.tx_gauge.wants_waking() {
            let before = self.tx_gauge.consumed();
            match wake_tx(self.socket.as_raw_fd()) {
                Ok(()) => {}
                // One frame was dropped on its way, and is done.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    refused += 1;
                    continue;
                }
                Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::ENOTSOCK)) => return Err(error),
                // No room yet, or no link: what waits waits, and replies beyond find no slot.
                Err(_) => {}
            }
            if self.tx_gauge.consumed() == before {
                break;
            }
        }
        Ok(refused)
    }
}

impl AsFd for Xsk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as `self`.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

/// Frames to be sent.
struct Outgoing {
    waiting: Packets,
    current: Option<Packet>,
}

impl Outgoing {
    fn slot(&mut self, umem: &mut Umem) -> Option<&mut [u8]> {
        if self.current.is_none() {
            // What waits goes into the ring at once, so it must fit.
            if self.waiting.available() == 0 {
                return None;
            }
            // SAFETY: the packet stays in the `Xsk`, beside its memory.
            let mut packet = unsafe { umem.alloc() }?;
            packet.adjust_tail(packet.capacity() as i32).ok()?;
            self.current = Some(packet);
        }
        self.current.as_deref_mut()
    }

    fn commit(&mut self, len: usize) {
        let mut packet = self.current.take().expect("a slot was filled");
        let surplus = packet.len().checked_sub(len).expect("a frame fits its slot");
        packet.adjust_tail(-(surplus as i32)).expect("a shorter frame");
        self.waiting.held.push_back(packet);
    }
}

/// Packets, first in first out.
struct Packets {
    held: VecDeque<Packet>,
    room: usize,
}

impl Packets {
    fn new(room: usize) -> Self {
        Self { held: VecDeque::with_capacity(room), room }
    }
}

impl Slab for Packets {
    fn available(&self) -> usize {
        self.room - self.held.len()
    }

    fn len(&self) -> usize {
        self.held.len()
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn push_front(&mut self, packet: Packet) -> Option<Packet> {
        if self.available() == 0 {
            return Some(packet);
        }
        self.held.push_back(packet);
        None
    }

    fn pop_back(&mut self) -> Option<Packet> {
        self.held.pop_front()
    }
}

fn wake_fill(fd: RawFd) -> io::Result<()> {
    // SAFETY: no buffer is passed; the kernel only looks at the socket's rings.
    let code = unsafe {
        libc::recvfrom(fd, std::ptr::null_mut(), 0, libc::MSG_DONTWAIT, std::ptr::null_mut(), std::ptr::null_mut())
    };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Else the link is down or gone, or busy with it already: the ring keeps its frames.
        Some(libc::EBADF | libc::ENOTSOCK) if code < 0 => Err(error),
        _ => Ok(()),
    }
}

fn wake_tx(fd: RawFd) -> io::Result<()> {
    // SAFETY: as in `wake_fill`.
    let code = unsafe { libc::sendto(fd, std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
    if code >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel refused, in words where its number has a known cause.
fn explain(error: SocketError) -> anyhow::Error {
    let (what, inner) = match error {
        SocketError::SocketCreation(inner) => ("the socket".to_string(), inner),
        SocketError::SetSockOpt { inner, option } | SocketError::GetSockOpt { inner, option } => {
            (format!("the option {option:?}"), inner)
        }
        SocketError::RingMap { inner, ring } => (format!("the ring {ring:?}"), inner),
        SocketError::Bind(inner) => ("the queue".to_string(), inner),
    };
    let remedy = match inner.raw_os_error() {
        Some(libc::EPERM) => "it needs CAP_NET_RAW: run as root, or grant it (setpriv, systemd)",
        Some(libc::EAFNOSUPPORT) => "this kernel is built without CONFIG_XDP_SOCKETS",
        Some(libc::ENOBUFS) => {
            "too little memory may be locked: raise it (ulimit -l, LimitMEMLOCK=), or grant CAP_IPC_LOCK"
        }
        Some(libc::EBUSY) => "another program has this queue",
        Some(libc::EINVAL) => "the interface has no such queue",
        _ => "see what the system said",
    };
    anyhow!("AF_XDP: the kernel refused {what} ({inner}): {remedy}")
}

#[cfg(test)]
mod tests;
