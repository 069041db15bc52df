//! Replies on their way: each leaves by the door that was asked, in a frame past the network stack where its neighbour is
//! known, else by a socket, a batch at a time.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use rp_core::engine::books::Counter;
use rp_core::engine::{Now, Transmit};
use rp_core::frame::Envelope;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::wire::{Origin, Peer};
use rp_net::batch::SendBatch;
use rp_net::socket::UdpSocket;
use rp_net::xsk::Xsk;

use super::doors::{Cable, Door, Doors};

/// What became of replies that left the engine.
#[derive(Default)]
pub struct Departures {
    /// Handed to AF_XDP; the others to the stack.
    pub by_xsk: Counter,
    /// Refused by the kernel, or still here at the end.
    pub failed: AtomicU64,
}

/// AF_XDP sockets of one worker, each with the number of its interface.
pub type Xsks = Vec<(u32, Xsk)>;

/// The transmit side of one worker.
pub struct Replies<'a> {
    sockets: &'a [UdpSocket],
    batches: Vec<SendBatch>,
    pub(super) xsks: Xsks,
    doors: &'a Doors,
    departures: &'a Departures,
    /// A datagram while it is written.
    draft: Box<[u8; DATAGRAM_MAX]>,
    last_door: (Door, u16),
    /// About seconds.
    tick: u64,
}

impl<'a> Replies<'a> {
    pub(super) fn new(sockets: &'a [UdpSocket], xsks: Xsks, doors: &'a Doors, departures: &'a Departures) -> Self {
        let batches = sockets.iter().map(|_| SendBatch::new()).collect();
        let last_door = (*doors.door(0), 0);
        Self { sockets, batches, xsks, doors, departures, draft: Box::new([0; DATAGRAM_MAX]), last_door, tick: 0 }
    }

    /// What is sent from here on is sent now.
    pub(super) fn set_time(&mut self, now: Now) {
        self.tick = now.mono_us >> 20;
    }

    /// Has all that was said left?
    pub(super) fn are_gone(&self) -> bool {
        self.xsks.iter().all(|(_, xsk)| xsk.unsent() == 0)
    }

    /// The number of the door that a datagram comes through now.
    #[inline]
    pub(super) fn door(&mut self, door: &Door) -> u16 {
        if self.last_door.0 != *door {
            self.last_door = (*door, self.doors.number(*door));
        }
        self.doors.hear(self.last_door.1, self.tick);
        self.last_door.1
    }

    /// Sends all that waits.
    ///
    /// # Errors
    /// An AF_XDP socket is broken.
    pub(super) fn flush(&mut self) -> Result<()> {
        (0..self.batches.len()).for_each(|socket| self.flush_socket(socket));
        (0..self.xsks.len()).try_for_each(|xsk| self.flush_xsk(xsk))
    }

    /// Sends what waits at one AF_XDP socket.
    ///
    /// # Errors
    /// It is broken.
    pub(super) fn flush_xsk(&mut self, xsk: usize) -> Result<()> {
        let refused = self.xsks[xsk].1.flush().context("transmitting by AF_XDP")?;
        if refused > 0 {
            self.departures.failed.fetch_add(refused as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn flush_socket(&mut self, socket: usize) {
        let batch = &mut self.batches[socket];
        if batch.is_empty() {
            return;
        }
        let waiting = batch.len() as u64;
        // A failure is one datagram's or the socket's; either way the client asks again, and the count tells.
        let failed = batch.flush(&self.sockets[socket]).map_or(waiting, |sent| sent.failed as u64);
        self.departures.failed.fetch_add(failed, Ordering::Relaxed);
    }

    /// Puts the draft into a frame; none when there is none to be had.
    fn put_in_frame(&mut self, len: usize, to: &Peer, cable: &Cable) -> Option<()> {
        let (_, xsk) = self.xsks.iter_mut().find(|(interface, _)| *interface == cable.interface)?;
        let envelope = Envelope::new(cable.macs, &cable.home, &Origin::from(to));
        let frame = xsk.slot()?;
        frame.get_mut(envelope.head_len()..)?.get_mut(..len)?.copy_from_slice(&self.draft[..len]);
        let frame_len = envelope.close(frame, len)?;
        xsk.commit(frame_len);
        Some(())
    }
}

impl Transmit for Replies<'_> {
    #[inline]
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.draft
    }

    #[inline]
    fn commit(&mut self, len: usize, to: Peer, door: u16) {
        let doors = self.doors;
        if let Some(cable) = doors.cable(door, self.tick)
            && self.put_in_frame(len, &to, cable).is_some()
        {
            return self.departures.by_xsk.add(1);
        }
        let Door { socket, local, .. } = doors.door(door);
        let socket = usize::from(*socket);
        if self.batches[socket].is_full() {
            self.flush_socket(socket);
        }
        self.batches[socket].slot()[..len].copy_from_slice(&self.draft[..len]);
        self.batches[socket].commit(len, &to, local);
    }
}

/// However the worker ends: what has not left, and will not, counts as failed.
impl Drop for Replies<'_> {
    fn drop(&mut self) {
        let unsent: usize = self.xsks.iter().map(|(_, xsk)| xsk.unsent()).sum();
        self.departures.failed.fetch_add(unsent as u64, Ordering::Relaxed);
    }
}
