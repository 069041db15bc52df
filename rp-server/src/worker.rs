//! One pinned worker: a thread that owns its SETs and its sockets, and shares nothing that another writes.
//!
//! The loop is the way of a datagram: receive a batch, let the engine answer it, hand the postings to the scribe, transmit
//! the answers that wait for none, carry the notes, do what time demands, sleep. Nothing here blocks, locks or allocates
//! per datagram.

mod doors;
mod folding;
mod frames;
mod homes;
mod replies;
mod rings;
mod stopwatch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rp_core::engine::{Now, Shard};
use rp_core::limits::RX_SLOTS;
use rp_net::batch::RecvBatch;
use rp_net::socket::UdpSocket;
use rp_net::wait::Sleeper;

pub use doors::Doors;
pub use folding::WORTH;
pub use frames::Frames;
pub use homes::Homes;
pub use replies::{Departures, Xsks};
pub use rings::{BankRings, Rings, connect};

use crate::archivist::Archive;
use crate::clock::Clock;
use crate::latency::Histogram;
use crate::librarian::Hatch;
use crate::scribe::Desk;
use doors::Door;
use folding::Folding;
use replies::Replies;
use stopwatch::Stopwatch;

/// The longest sleep: time's demands are looked at so often when nothing comes.
const SLEEP_MAX: Duration = Duration::from_millis(5);
/// The same of one that rests, at the end: whatever is still to come wakes it, and all can be seen to rest at the same time.
const REST_MAX: Duration = Duration::from_millis(100);

/// A worker before its thread starts.
pub struct Worker {
    /// Its number.
    pub number: usize,
    /// The CPU it will be pinned to.
    pub cpu: usize,
    /// Its socket in the group of each address.
    pub sockets: Arc<[UdpSocket]>,
    /// Its queues that come past the stack.
    pub xsks: Xsks,
    /// What decides about what comes there.
    pub frames: Frames,
    /// Its SETs.
    pub shard: Shard,
    /// Notes from and to the others.
    pub rings: Rings,
    /// Where its postings go.
    pub desk: Desk,
    /// Takes projections.
    pub archive: Archive,
    /// Where it asks what only the ledger knows, if that can be read.
    pub hatch: Option<Hatch>,
    /// Sleeps on its sockets, then on its queues; its wakers are with the others.
    pub sleeper: Sleeper,
    /// The addresses that clients ask.
    pub doors: Arc<Doors>,
    /// The time.
    pub clock: Clock,
    /// So long after the last datagram it looks for the next before it sleeps.
    pub busy_poll_us: u64,
    /// What others see of it.
    pub face: Arc<Face>,
}

/// What others see of a worker.
#[derive(Default)]
pub struct Face {
    /// How often it has gone round; one that hangs does so no more.
    pub rounds: AtomicU64,
    /// Kernel's number of its thread.
    pub thread_id: AtomicI32,
    /// Nothing new comes in: told to bring what is under way to its end.
    pub drains: AtomicBool,
    /// The round in which it has, and found nothing more; 0 while it has not.
    pub rests_since: AtomicU64,
    /// Told to stop.
    pub stop: AtomicBool,
    /// The thread has ended.
    pub gone: AtomicBool,
    /// Datagrams that came by AF_XDP.
    pub from_xsk: AtomicU64,
    /// What became of its replies.
    pub departures: Departures,
    /// From the receipt of a batch to the hand-over of its replies, by datagram.
    pub answer_times: Histogram,
    /// From the posting of what was asked to the reply's leaving, by reply that waits for the disk.
    pub durable_times: Histogram,
}

impl Worker {
    /// Serves until told to stop; then every sum is checked once more.
    ///
    /// # Errors
    /// The thread cannot be pinned, or a socket fails as a whole.
    pub fn run(mut self) -> Result<()> {
        rp_net::affinity::pin(self.cpu)
            .with_context(|| format!("pinning worker {} to CPU {}", self.number, self.cpu))?;
        self.face.thread_id.store(rp_net::proc::thread_id(), Ordering::Relaxed);
        let mut rx = RecvBatch::new();
        let mut replies = Replies::new(&self.sockets, self.xsks, &self.doors, &self.face.departures);
        let mut folding = Folding::default();
        let face = self.face.clone();
        let mut watch = Stopwatch::new(&face);
        let (mut busy, mut heard_us, mut rounds, mut sleep_max) = (true, 0, 0, SLEEP_MAX);
        while !self.face.stop.load(Ordering::Relaxed) {
            rounds += 1;
            self.face.rounds.store(rounds, Ordering::Relaxed);
            // Before it looks, so that what it then does not find is not there.
            let drains = self.face.drains.load(Ordering::Acquire);
            // With queues of its own, a look at a socket is for nothing most of the time.
            let mut looks = true;
            if !busy {
                self.sleeper.announce();
                let has_answers = self.hatch.as_ref().is_some_and(Hatch::has_answers);
                let is_told = self.face.stop.load(Ordering::SeqCst);
                if self.rings.has_notes() || self.desk.has_news() || has_answers || is_told {
                    self.sleeper.stay();
                } else {
                    self.sleeper.wait(sleep_max).context("waiting on the worker's sockets")?;
                    looks = drains || replies.xsks.is_empty();
                }
            }
            if drains {
                // Until it is seen anew, and not while it sleeps: what this round does may be what another one waits for.
                self.face.rests_since.store(0, Ordering::SeqCst);
            }
            let mut most = self.frames.serve(|| self.clock.now(), &mut self.shard, &mut replies, &face, &mut watch)?;
            for (i, socket) in self.sockets.iter().enumerate() {
                if !looks && !self.sleeper.readable(i) {
                    continue;
                }
                let taken = rx.receive(socket).with_context(|| format!("receiving on {}", socket.local_address()))?;
                let now = self.clock.now();
                watch.begin(now.mono_us, taken);
                answer(&mut self.shard, &rx, i, now, &mut replies);
                watch.hold(now.mono_us, self.shard.journal());
                replies.flush()?;
                most = most.max(taken);
            }
            let now = self.clock.now();
            watch.end(now.mono_us);
            replies.set_time(now);
            if most > 0 {
                heard_us = now.mono_us;
            }
            keep(&mut self.desk, &mut self.shard, &mut replies, &mut watch, now);
            busy = self.rings.carry(now, &mut self.shard, &mut replies) || most == RX_SLOTS;
            busy |= now.mono_us - heard_us < self.busy_poll_us;
            self.shard.tick(now, &mut replies);
            watch.hold(now.mono_us, self.shard.journal());
            keep(&mut self.desk, &mut self.shard, &mut replies, &mut watch, now);
            self.rings.carry(now, &mut self.shard, &mut replies);
            watch.hold(now.mono_us, self.shard.journal());
            if let Some(hatch) = &mut self.hatch {
                hatch.serve(&mut self.shard, &mut replies);
            }
            replies.flush()?;
            folding.beat(now, &mut self.shard, &self.desk, &self.archive);
            if drains {
                let is_read = most == 0 && self.hatch.as_ref().is_none_or(Hatch::is_at_rest);
                let is_said = self.shard.is_at_rest() && self.rings.are_empty() && replies.are_gone();
                let rests = is_read && is_said;
                self.face.rests_since.store(if rests { rounds } else { 0 }, Ordering::SeqCst);
                sleep_max = if rests { REST_MAX } else { SLEEP_MAX };
            }
        }
        // Replies wait for the disk to the end.
        while !self.shard.journal().is_durable() && !self.desk.scribe().gone.load(Ordering::Relaxed) {
            keep(&mut self.desk, &mut self.shard, &mut replies, &mut watch, self.clock.now());
            std::thread::sleep(Duration::from_micros(200));
        }
        replies.flush()?;
        folding.end(&mut self.shard, &self.desk, &self.archive);
        self.shard.audit();
        self.shard.publish();
        Ok(())
    }
}

/// Hands postings to the scribe, and lets go what waited for those that are on disk.
fn keep(desk: &mut Desk, shard: &mut Shard, replies: &mut Replies<'_>, watch: &mut Stopwatch<'_>, now: Now) {
    let durable = desk.carry(shard.journal());
    shard.durable_to(durable, replies);
    watch.release(now.mono_us, durable, shard.journal().held());
}

/// Lets the engine answer what was received. All sessions are looked at first, so that their cache misses overlap: one by
/// one each would cost as much as the rest of the work together.
fn answer(shard: &mut Shard, rx: &RecvBatch, socket: usize, now: Now, replies: &mut Replies<'_>) {
    let touched = (0..rx.len()).fold(0, |sum, i| sum ^ shard.touch(rx.payload(i)));
    std::hint::black_box(touched);
    for i in 0..rx.len() {
        let (payload, peer, local) = rx.datagram(i);
        let door = replies.door(&Door { socket: socket as u16, local, cable: None });
        shard.receive(now, peer, door, payload, replies);
    }
}
