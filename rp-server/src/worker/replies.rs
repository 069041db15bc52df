//! Replies on their way: a transmit batch per socket, each reply in that of the door that was asked.

use std::sync::atomic::{AtomicU64, Ordering};

use rp_core::engine::Transmit;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::wire::Peer;
use rp_net::address::Local;
use rp_net::batch::SendBatch;
use rp_net::socket::UdpSocket;

use super::doors::{Door, Doors};

/// Replies that left the engine and not the machine.
#[derive(Default)]
pub struct Losses {
    /// Refused by the kernel.
    pub failed: AtomicU64,
}

/// The transmit side of one worker.
pub struct Replies<'a> {
    sockets: &'a [UdpSocket],
    batches: Vec<SendBatch>,
    doors: &'a Doors,
    losses: &'a Losses,
    /// The socket of the datagram at hand: its replies are written straight into its batch.
    current: usize,
    last_door: (Door, u16),
}

impl<'a> Replies<'a> {
    pub(super) fn new(sockets: &'a [UdpSocket], doors: &'a Doors, losses: &'a Losses) -> Self {
        let batches = sockets.iter().map(|_| SendBatch::new()).collect();
        Self { sockets, batches, doors, losses, current: 0, last_door: (doors.door(0), 0) }
    }

    /// The number of the door that a datagram came through; replies are now written for its socket.
    #[inline]
    pub(super) fn door(&mut self, socket: usize, local: &Local) -> u16 {
        self.current = socket;
        let door = Door { socket: socket as u16, local: *local };
        if self.last_door.0 != door {
            self.last_door = (door, self.doors.number(door));
        }
        self.last_door.1
    }

    /// Sends all that waits.
    pub(super) fn flush(&mut self) {
        (0..self.batches.len()).for_each(|socket| self.flush_socket(socket));
    }

    fn flush_socket(&mut self, socket: usize) {
        let batch = &mut self.batches[socket];
        if batch.is_empty() {
            return;
        }
        let waiting = batch.len() as u64;
        // A failure is one datagram's or the socket's; either way the client asks again, and the count tells.
        let failed = batch.flush(&self.sockets[socket]).map_or(waiting, |sent| sent.failed as u64);
        self.losses.failed.fetch_add(failed, Ordering::Relaxed);
    }
}

impl Transmit for Replies<'_> {
    #[inline]
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        if self.batches[self.current].is_full() {
            self.flush_socket(self.current);
        }
        self.batches[self.current].slot()
    }

    #[inline]
    fn commit(&mut self, len: usize, to: Peer, door: u16) {
        let door = if door == self.last_door.1 { self.last_door.0 } else { self.doors.door(door) };
        let socket = usize::from(door.socket);
        if socket == self.current {
            self.batches[socket].commit(len, &to, &door.local);
            return;
        }
        // Rare: a notice to a session at another address than the one at hand.
        let copy = *self.batches[self.current].slot();
        self.current = socket;
        self.buffer()[..len].copy_from_slice(&copy[..len]);
        self.batches[socket].commit(len, &to, &door.local);
    }
}
