//! The scribe: one thread that brings what the workers and the bank wrote to the ledger, in groups, and tells each how much
//! of its own is on disk.
//!
//! A group is all that came while the last one was on its way: single postings when little happens, thousands under load.
//! After a large group the next waits until a millisecond has passed, since a commit costs the same for one posting as for
//! a hundred. What cannot be written ends the server: nothing that it then holds back was ever told to anyone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rp_core::engine::journal::{EVENT_MAX, Journal};
use rp_core::posting;
use rp_net::wait::{Sleeper, Waker};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::latency::Histogram;
use crate::ledger::{Ledger, Outcome};

/// Bytes of postings that may wait for the ledger, of each writer: longer than the longest commit, of all that a worker can do.
/// In time all of them are touched, and stay in memory.
const RING_BYTES: usize = 3 << 19;
const _: () = assert!(RING_BYTES > 2 * EVENT_MAX);
/// Bytes of them that are taken out at a time: at least one event.
const READ_AHEAD: usize = EVENT_MAX;
/// Postings of a group at most: the next ones wait for all of them.
const GROUP_MAX: usize = 4096;
/// A group of so many was made under load.
const LOAD: usize = 64;
/// Under load a group begins so long after the one before.
const PACE: Duration = Duration::from_millis(1);
/// Postings after which projections are taken: so many, and what comes while they are, a start reads again.
const CHECKPOINT: u64 = 2_000_000;
/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// A writer's end: where its journal goes.
pub struct Desk {
    ring: Producer<u8>,
    durable: Arc<AtomicU64>,
    /// What [`Self::carry`] told last.
    told: u64,
    scribe: Waker,
    face: Arc<ScribeFace>,
}

impl Desk {
    /// Carries what the journal holds towards the ledger; how many of its postings are on disk.
    pub fn carry(&mut self, journal: &mut Journal) -> u64 {
        if !journal.bytes().is_empty() {
            let fits = whole(journal.bytes(), self.ring.slots());
            if fits > 0 && self.ring.push_entire_slice(&journal.bytes()[..fits]).is_ok() {
                journal.taken(fits);
                self.scribe.wake();
            }
        }
        journal.set_room(self.ring.slots());
        self.told = self.durable.load(Ordering::SeqCst);
        self.told
    }

    /// Is there more on disk than was told?
    pub fn has_news(&self) -> bool {
        self.durable.load(Ordering::SeqCst) != self.told
    }

    /// How many of the writer's postings are on disk, as others may read it.
    pub fn durable(&self) -> Arc<AtomicU64> {
        self.durable.clone()
    }

    /// The scribe.
    pub fn scribe(&self) -> &Arc<ScribeFace> {
        &self.face
    }
}

/// Bytes of the whole events at the start of `bytes` that fit into so much room.
fn whole(bytes: &[u8], room: usize) -> usize {
    if bytes.len() <= room {
        return bytes.len();
    }
    // Only after a start that had much to settle: a running writer stops before its journal outgrows the ring.
    events(bytes, |_, end| end + EVENT_MAX <= room).1
}

/// Whole events from the start of `bytes` on, as long as `goes_on` says so of the postings and bytes before each: their
/// postings, and where they end. What one datagram did is never torn: a crash would keep a packet, and lose its news.
fn events(bytes: &[u8], goes_on: impl Fn(usize, usize) -> bool) -> (usize, usize) {
    let (mut count, mut end) = (0, 0);
    let (mut whole_count, mut whole_end) = (0, 0);
    while (end > whole_end || goes_on(count, end))
        && let Some(len) = posting::len_of(&bytes[end..])
    {
        let is_last = posting::ends_event(&bytes[end..]);
        end += len;
        count += 1;
        if is_last {
            (whole_count, whole_end) = (count, end);
        }
    }
    (whole_count, whole_end)
}

/// What others see of the scribe.
#[derive(Default)]
pub struct ScribeFace {
    /// Told to end once everything is written.
    pub stop: AtomicBool,
    /// The thread has ended.
    pub gone: AtomicBool,
    /// Position of the ledger's last posting.
    pub position: AtomicU64,
    /// Rises when it is time for projections.
    pub checkpoint: AtomicU64,
    /// Position at which that was last.
    pub checkpoint_position: AtomicU64,
    /// Groups committed.
    pub commits: AtomicU64,
    /// Time spent in commits, in microseconds.
    pub commit_us: AtomicU64,
    /// The longest commit, in microseconds.
    pub longest_us: AtomicU64,
    /// How long each commit took.
    pub commit_times: Histogram,
}

impl ScribeFace {
    /// Postings since the last projections, about.
    pub fn unprojected(&self) -> u64 {
        self.position.load(Ordering::Relaxed).saturating_sub(self.checkpoint_position.load(Ordering::Relaxed))
    }
}

/// The scribe before its thread starts.
pub struct Scribe {
    ledger: Box<dyn Ledger>,
    inbound: Vec<Inbound>,
    group: Vec<u8>,
    sleeper: Sleeper,
    face: Arc<ScribeFace>,
}

/// One writer's postings on their way in.
struct Inbound {
    ring: Consumer<u8>,
    /// Taken from the ring, and not yet in a group.
    bytes: Vec<u8>,
    durable: Arc<AtomicU64>,
    writer: Option<Waker>,
    /// Its postings in the group at hand.
    count: u64,
}

impl Scribe {
    /// A scribe over a ledger of whose postings so many are in no projection, and a desk for each of these writers; one
    /// without a waker looks by itself.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new(
        ledger: Box<dyn Ledger>,
        unprojected: u64,
        writers: impl IntoIterator<Item = Option<Waker>>,
        face: Arc<ScribeFace>,
    ) -> Result<(Scribe, Vec<Desk>)> {
        let sleeper = Sleeper::new([]).context("making the scribe's alarm")?;
        let (mut inbound, mut desks) = (Vec::new(), Vec::new());
        for writer in writers {
            let (producer, consumer) = RingBuffer::new(RING_BYTES);
            let durable = Arc::new(AtomicU64::new(0));
            desks.push(Desk {
                ring: producer,
                durable: durable.clone(),
                told: 0,
                scribe: sleeper.waker(),
                face: face.clone(),
            });
            inbound.push(Inbound { ring: consumer, bytes: Vec::with_capacity(READ_AHEAD), durable, writer, count: 0 });
        }
        let position = ledger.end().position;
        face.position.store(position, Ordering::Relaxed);
        face.checkpoint_position.store(position.saturating_sub(unprojected), Ordering::Relaxed);
        Ok((Scribe { ledger, inbound, group: Vec::new(), sleeper, face }, desks))
    }

    /// Ends its sleep.
    pub fn waker(&self) -> Waker {
        self.sleeper.waker()
    }

    /// Writes until told to stop and nothing is left to write; then leaves the ledger in order.
    ///
    /// `beat` is called after each group and each sleep, and a last time, with `true`, at the end.
    ///
    /// # Errors
    /// The ledger could not keep what it was given.
    pub fn run(mut self, mut beat: impl FnMut(&dyn Ledger, bool)) -> Result<()> {
        loop {
            let begun = rp_net::proc::monotonic_time();
            let count = self.gather();
            if count == 0 {
                if self.face.stop.load(Ordering::SeqCst) && self.inbound.iter().all(|inbound| inbound.ring.is_empty()) {
                    beat(&*self.ledger, true);
                    return self.ledger.close();
                }
                self.sleep()?;
                beat(&*self.ledger, false);
                continue;
            }
            self.commit(begun)?;
            beat(&*self.ledger, false);
            let rest = PACE.saturating_sub(rp_net::proc::monotonic_time().saturating_sub(begun));
            if count >= LOAD && !rest.is_zero() {
                std::thread::sleep(rest);
            }
        }
    }

    /// Makes a group of what has come, each writer's in order; how many postings.
    fn gather(&mut self) -> usize {
        self.group.clear();
        let mut left = GROUP_MAX;
        for inbound in &mut self.inbound {
            let taken = inbound.take(left, &mut self.group);
            inbound.count = taken as u64;
            left -= taken;
        }
        // Who came last this time comes first the next.
        self.inbound.rotate_right(1);
        GROUP_MAX - left
    }

    fn commit(&mut self, begun: Duration) -> Result<()> {
        match self.ledger.commit(&self.group) {
            Outcome::Durable { position } => {
                self.face.position.store(position, Ordering::SeqCst);
                if position - self.face.checkpoint_position.load(Ordering::Relaxed) >= CHECKPOINT {
                    self.face.checkpoint_position.store(position, Ordering::Relaxed);
                    self.face.checkpoint.fetch_add(1, Ordering::SeqCst);
                }
            }
            Outcome::Failed(why) | Outcome::Unknown(why) => {
                return Err(anyhow!(why).context(
                    "the ledger cannot be written; nothing that it does not hold was told to anyone. Make room or mend the \
                     disk, then start rp-server again",
                ));
            }
        }
        for inbound in self.inbound.iter().filter(|inbound| inbound.count > 0) {
            inbound.durable.fetch_add(inbound.count, Ordering::SeqCst);
            inbound.writer.iter().for_each(Waker::wake);
        }
        let took_us = rp_net::proc::monotonic_time().saturating_sub(begun).as_micros() as u64;
        self.face.commits.fetch_add(1, Ordering::Relaxed);
        self.face.commit_us.fetch_add(took_us, Ordering::Relaxed);
        self.face.longest_us.fetch_max(took_us, Ordering::Relaxed);
        self.face.commit_times.count(took_us, 1);
        Ok(())
    }

    fn sleep(&mut self) -> Result<()> {
        self.sleeper.announce();
        let has_work = self.inbound.iter().any(|inbound| !inbound.ring.is_empty());
        if has_work || self.face.stop.load(Ordering::SeqCst) {
            self.sleeper.stay();
            return Ok(());
        }
        self.sleeper.wait(SLEEP_MAX).context("waiting for postings").map(drop)
    }
}

impl Inbound {
    /// Moves whole postings, so many at most, to the end of a group; how many.
    fn take(&mut self, most: usize, group: &mut Vec<u8>) -> usize {
        let waiting = self.ring.slots().min(READ_AHEAD - self.bytes.len());
        if let Ok(chunk) = self.ring.read_chunk(waiting) {
            let (first, second) = chunk.as_slices();
            self.bytes.extend_from_slice(first);
            self.bytes.extend_from_slice(second);
            chunk.commit_all();
        }
        let (count, end) = events(&self.bytes, |count, _| count < most);
        assert!(end > 0 || self.bytes.len() < READ_AHEAD || most == 0, "an event is longer than any should be");
        group.extend(self.bytes.drain(..end));
        count
    }
}

#[cfg(test)]
mod tests {
    use rp_core::posting::{Act, Posting};

    use super::*;

    /// Events of so many postings each, as a journal writes them.
    fn journal(events: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for postings in events {
            for number in 0..*postings {
                let at = bytes.len();
                let posting = Posting::new(Act::Told, 1);
                bytes.resize(at + posting.len(), 0);
                posting.put(&mut bytes[at..]);
                posting::set_more(&mut bytes[at..], number + 1 < *postings);
            }
        }
        bytes
    }

    #[test]
    fn a_group_ends_where_an_event_does() {
        let bytes = journal(&[1, 3, 1, 2]);
        let len = bytes.len() / 7;
        for (most, expected) in [(1, 1), (2, 4), (4, 4), (5, 5), (6, 7), (9, 7)] {
            assert_eq!(events(&bytes, |count, _| count < most), (expected, expected * len), "{most} at most");
        }
        assert_eq!(events(&bytes[..3 * len], |_, _| true), (1, len), "half an event waits for the rest");
    }
}
