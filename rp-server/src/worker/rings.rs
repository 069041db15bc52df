//! Notes between workers, and between workers and the bank: one bounded ring per pair and direction.
//!
//! The engine's credits keep what is under way below the room of a ring, so a push that finds no room only means that the
//! other side is behind: the note waits in the outbox, and nothing is lost.

use rp_core::engine::bank::RING_SLOTS;
use rp_core::engine::notes::{BANK, Note};
use rp_core::engine::{Now, Shard};
use rp_core::limits::NOTE_RING_SLOTS;
use rp_core::steer;
use rp_net::wait::Waker;
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::replies::Replies;

/// Notes taken from one ring before the sockets are looked at again.
const NOTES_PER_TURN: usize = 256;

/// The rings of one worker.
pub struct Rings {
    number: usize,
    workers: u32,
    /// By worker; the bank's is last. A worker has no ring to itself.
    outgoing: Vec<Option<Producer<Note>>>,
    incoming: Vec<Consumer<Note>>,
    /// By worker, itself included.
    wakers: Vec<Waker>,
}

/// The bank's ends: to and from each worker.
pub struct BankRings {
    /// By worker.
    pub to: Vec<Producer<Note>>,
    /// By worker.
    pub from: Vec<Consumer<Note>>,
    /// By worker.
    pub wakers: Vec<Waker>,
}

/// Rings between all workers, whose wakers these are, and between each and the bank.
pub fn connect(wakers: &[Waker]) -> (Vec<Rings>, BankRings) {
    let workers = wakers.len();
    let mut rings: Vec<Rings> = (0..workers)
        .map(|number| Rings {
            number,
            workers: workers as u32,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            wakers: wakers.to_vec(),
        })
        .collect();
    for from in 0..workers {
        for to in 0..workers {
            let producer = (from != to).then(|| {
                let (producer, consumer) = RingBuffer::new(NOTE_RING_SLOTS);
                rings[to].incoming.push(consumer);
                producer
            });
            rings[from].outgoing.push(producer);
        }
    }
    let mut bank = BankRings { to: Vec::new(), from: Vec::new(), wakers: wakers.to_vec() };
    for ring in &mut rings {
        let (producer, consumer) = RingBuffer::new(RING_SLOTS);
        ring.outgoing.push(Some(producer));
        bank.from.push(consumer);
        let (producer, consumer) = RingBuffer::new(RING_SLOTS);
        ring.incoming.push(consumer);
        bank.to.push(producer);
    }
    (rings, bank)
}

/// Has the other side taken all?
fn is_taken(ring: &Producer<Note>) -> bool {
    ring.slots() == ring.buffer().capacity()
}

impl BankRings {
    /// Has every note been taken, here and there?
    pub fn are_empty(&self) -> bool {
        self.to.iter().all(is_taken) && self.from.iter().all(Consumer::is_empty)
    }
}

impl Rings {
    /// Has every note been taken, here and there?
    pub(super) fn are_empty(&self) -> bool {
        !self.has_notes() && self.outgoing.iter().flatten().all(is_taken)
    }

    /// Is there a note to take?
    pub(super) fn has_notes(&self) -> bool {
        self.incoming.iter().any(|ring| !ring.is_empty())
    }

    /// Takes notes in and carries those out that the shard wrote; `true` when more may wait.
    pub(super) fn carry(&mut self, now: Now, shard: &mut Shard, replies: &mut Replies<'_>) -> bool {
        let mut more = false;
        for ring in &mut self.incoming {
            let mut taken = 0;
            while taken < NOTES_PER_TURN
                && shard.has_room()
                && let Ok(note) = ring.pop()
            {
                shard.note(now, note, replies);
                taken += 1;
            }
            more |= taken == NOTES_PER_TURN;
        }
        self.deliver(now, shard, replies);
        more
    }

    fn deliver(&mut self, now: Now, shard: &mut Shard, replies: &mut Replies<'_>) {
        let mut told = 0u64;
        while let Some(note) = shard.pop_note() {
            let to = match note.to {
                BANK => self.workers as usize,
                set => steer::worker_of(u32::from(set), self.workers) as usize,
            };
            if to == self.number {
                if !shard.has_room() {
                    shard.unpop_note(note);
                    break;
                }
                shard.note(now, note, replies);
                continue;
            }
            let ring = self.outgoing[to].as_mut().expect("only a worker itself has no ring");
            if let Err(PushError::Full(note)) = ring.push(note) {
                shard.unpop_note(note);
                break;
            }
            told |= 1 << (to % 64);
        }
        // The bank looks at its rings by itself, every millisecond.
        for (worker, waker) in self.wakers.iter().enumerate().filter(|(worker, _)| told & 1 << (worker % 64) != 0) {
            if worker != self.number {
                waker.wake();
            }
        }
    }
}
