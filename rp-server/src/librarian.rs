//! The librarian: one thread that answers from the ledger what memory does not hold, histories and forgotten packets.
//!
//! Workers hand it questions and get finished datagrams back, both through bounded rings, and wait for neither: a question
//! that finds no room waits in its shard, whose room is bounded too, and an answer that finds none is dropped, so that its
//! client asks again. One question of each worker is answered in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use rp_core::engine::asks::{Ask, Reader};
use rp_core::engine::{Shard, Transmit};
use rp_core::limits::{ASKS_MAX, DATAGRAM_MAX};
use rp_core::wire::{Peer, Refusal};
use rp_net::wait::{Sleeper, Waker};
use rtrb::{Consumer, Producer, RingBuffer};
use tracing::warn;

use crate::ledger::Finder;

/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// A finished datagram, and where it goes.
struct Answer {
    bytes: [u8; DATAGRAM_MAX],
    len: usize,
    session: u32,
    to: Peer,
    door: u16,
}

/// A worker's end.
pub struct Hatch {
    asks: Producer<Ask>,
    answers: Consumer<Answer>,
    /// Questions on their way there or back: no more than answers find room.
    under_way: usize,
    face: Arc<LibrarianFace>,
    librarian: Waker,
}

impl Hatch {
    /// Carries questions to the librarian, and sends the answers that came.
    pub fn serve(&mut self, shard: &mut Shard, tx: &mut impl Transmit) {
        let mut has_asked = false;
        while self.under_way < ASKS_MAX
            && let Some(ask) = shard.pop_ask()
        {
            self.asks.push(ask).expect("fewer are under way than the ring holds");
            self.under_way += 1;
            has_asked = true;
        }
        if has_asked {
            self.librarian.wake();
        }
        while let Ok(answer) = self.answers.pop() {
            self.under_way -= 1;
            let Answer { bytes, len, session, to, door } = answer;
            let is_late = !shard.deliver(&bytes[..len], session, to, door, tx);
            self.face.late.fetch_add(u64::from(is_late), Ordering::Relaxed);
        }
    }

    /// Is every question answered?
    pub fn is_at_rest(&self) -> bool {
        self.under_way == 0
    }

    /// Is there an answer to send?
    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }
}

/// What others see of the librarian.
#[derive(Default)]
pub struct LibrarianFace {
    stop: AtomicBool,
    /// The thread has ended.
    pub gone: AtomicBool,
    /// Questions answered.
    pub answered: AtomicU64,
    /// Answers whose session had ended, or was elsewhere.
    pub late: AtomicU64,
    /// Time spent on answers, in microseconds.
    pub answer_us: AtomicU64,
    /// The longest, in microseconds.
    pub longest_us: AtomicU64,
}

/// The librarian's thread.
pub struct Library {
    /// What others see of it.
    pub face: Arc<LibrarianFace>,
    alarm: Waker,
    thread: JoinHandle<Result<()>>,
}

impl Library {
    /// Starts it; a hatch for each worker, whose wakers these are.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn open(finder: Box<dyn Finder>, workers: &[Waker]) -> Result<(Library, Vec<Hatch>)> {
        let sleeper = Sleeper::new([]).context("making the librarian's alarm")?;
        let face = Arc::new(LibrarianFace::default());
        let (mut hatches, mut desks) = (Vec::new(), Vec::new());
        for worker in workers {
            let (asks, asked) = RingBuffer::new(ASKS_MAX);
            let (answered, answers) = RingBuffer::new(ASKS_MAX);
            hatches.push(Hatch { asks, answers, under_way: 0, face: face.clone(), librarian: sleeper.waker() });
            desks.push(Desk { asked, answered, worker: worker.clone() });
        }
        let alarm = sleeper.waker();
        let librarian = Librarian { finder, desks, sleeper, face: face.clone(), is_said: false };
        let thread = std::thread::Builder::new().name("librarian".into());
        let gone = Gone(face.clone());
        let work = move || {
            let _gone = gone;
            librarian.run()
        };
        let thread = thread.spawn(work).context("starting the librarian's thread")?;
        Ok((Library { face, alarm, thread }, hatches))
    }

    /// Ends the thread; what was asked and not answered is forgotten.
    ///
    /// # Errors
    /// What the system said.
    pub fn close(self) -> Result<()> {
        self.face.stop.store(true, Ordering::SeqCst);
        self.alarm.wake();
        self.thread.join().unwrap_or_else(|_| anyhow::bail!("the librarian panicked: see its message above"))
    }
}

/// However the librarian ends, its face says so.
struct Gone(Arc<LibrarianFace>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::SeqCst);
    }
}

/// The librarian's end of a hatch.
struct Desk {
    asked: Consumer<Ask>,
    answered: Producer<Answer>,
    worker: Waker,
}

struct Librarian {
    finder: Box<dyn Finder>,
    desks: Vec<Desk>,
    sleeper: Sleeper,
    face: Arc<LibrarianFace>,
    /// A failure has been told of.
    is_said: bool,
}

impl Librarian {
    fn run(mut self) -> Result<()> {
        while !self.face.stop.load(Ordering::SeqCst) {
            let mut has_work = false;
            for at in 0..self.desks.len() {
                if let Ok(ask) = self.desks[at].asked.pop() {
                    self.answer(at, &ask);
                    has_work = true;
                }
            }
            if !has_work {
                self.sleep()?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, at: usize, ask: &Ask) {
        let begun = rp_net::proc::monotonic_time();
        let Reader { session, peer: to, door, .. } = *ask.reader();
        let mut answer = Answer { bytes: [0; DATAGRAM_MAX], len: 0, session, to, door };
        let found = self.finder.answer(ask, &mut answer.bytes);
        answer.len = found.unwrap_or_else(|error| {
            if !self.is_said {
                warn!("cannot answer from the ledger: {error:#}; who asks is told to ask later");
            }
            self.is_said = true;
            ask.refuse(Refusal::Busy, &mut answer.bytes)
        });
        let desk = &mut self.desks[at];
        assert!(desk.answered.push(answer).is_ok(), "no more is asked than answers find room");
        desk.worker.wake();
        let took_us = rp_net::proc::monotonic_time().saturating_sub(begun).as_micros() as u64;
        self.face.answered.fetch_add(1, Ordering::Relaxed);
        self.face.answer_us.fetch_add(took_us, Ordering::Relaxed);
        self.face.longest_us.fetch_max(took_us, Ordering::Relaxed);
    }

    fn sleep(&mut self) -> Result<()> {
        self.sleeper.announce();
        let has_work = self.desks.iter().any(|desk| !desk.asked.is_empty());
        if has_work || self.face.stop.load(Ordering::SeqCst) {
            self.sleeper.stay();
            return Ok(());
        }
        self.sleeper.wait(SLEEP_MAX).context("waiting for questions").map(drop)
    }
}
