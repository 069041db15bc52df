//! The thread behind the writer: makes the next file before it is needed, brings the logs of closed ones into them, so that
//! no commit waits for either, and when nothing else is to be done gives closed files their indices. A simulation has no second thread: there its work is done with the commits.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rp_core::key::Key;
use tracing::warn;

use super::place::{Access, Place};
use super::refusal::is_locked;
use super::segment::{self, Segment};

/// Indices are begun when so long nothing else was to be done. They take longer than a writer at full speed takes to fill a
/// file, and would hold the next one up, which then grew, and its indices took the longer.
const REST: Duration = Duration::from_secs(1);

/// No index is begun while the disk has room for fewer files than this: it takes the room of two, for a moment, and commits go
/// on meanwhile, into this file and the next.
const ROOM_FILES: u64 = 8;

enum Task {
    Make(u32),
    /// The writer's own handle is closed there, too.
    Settle(u32, Option<Segment>),
}

/// The way to that thread.
pub struct Upkeep {
    tasks: Option<Sender<Task>>,
    made: Receiver<Result<Segment>>,
    hand: Option<Work>,
}

/// Who does it.
enum Work {
    Thread(JoinHandle<()>),
    Inline(Hand),
}

impl Upkeep {
    /// Starts it; it makes the file behind number `last` at once.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(place: &Place, id: Key, epoch: u64, last: u32) -> Result<Upkeep> {
        let (tasks, inbox) = mpsc::channel();
        let (outbox, made) = mpsc::channel();
        let hand = Hand {
            place: place.clone(),
            id,
            epoch,
            unsettled: Vec::new(),
            unindexed: (1..last).collect(),
            has_sorted: false,
            is_said: false,
            tasks: inbox,
            made: outbox,
        };
        let hand = if place.is_inline { Work::Inline(hand) } else { Work::Thread(hand.start()?) };
        let upkeep = Upkeep { tasks: Some(tasks), made, hand: Some(hand) };
        upkeep.order(Task::Make(last + 1));
        Ok(upkeep)
    }

    /// The next file when it is made; its successor is then begun.
    pub fn next(&self) -> Option<Result<Segment>> {
        let made = self.made.try_recv().ok()?;
        if let Ok(segment) = &made {
            self.order(Task::Make(segment.label().number + 1));
        }
        Some(made)
    }

    /// Does one task, where there is no thread for it.
    pub fn help(&mut self) {
        if let Some(Work::Inline(hand)) = &mut self.hand {
            match hand.tasks.try_recv() {
                Ok(task) => hand.work(task),
                Err(_) => drop(hand.index_next()),
            }
        }
    }

    /// Has the log of a closed file brought into it.
    pub fn settle(&self, number: u32) {
        self.order(Task::Settle(number, None));
    }

    /// The same for the file that the writer just closed.
    pub fn retire(&self, segment: Segment) {
        self.order(Task::Settle(segment.label().number, Some(segment)));
    }

    fn order(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // It lives as long as this end does.
            let _sent = tasks.send(task);
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        drop(self.tasks.take());
        match self.hand.take() {
            Some(Work::Thread(thread)) => drop(thread.join()),
            Some(Work::Inline(hand)) => hand.work_on(),
            None => {}
        }
    }
}

struct Hand {
    place: Place,
    id: Key,
    epoch: u64,
    /// Closed files that somebody was reading, with the writer's own handle while it is left.
    unsettled: Vec<(u32, Option<Segment>)>,
    /// Closed files that may have no indices yet, the next last.
    unindexed: Vec<u32>,
    /// Since memory was given back.
    has_sorted: bool,
    /// It was said that there is no room for indices.
    is_said: bool,
    tasks: Receiver<Task>,
    made: Sender<Result<Segment>>,
}

impl Hand {
    fn start(self) -> Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name("ledger-upkeep".into());
        // What it does may wait; what a worker does may not.
        let work = move || {
            rp_net::proc::give_way();
            // The thread is older than the gate, as HTTP's is.
            crate::gate::privilege::settle();
            self.work_on();
        };
        thread.spawn(work).context("starting the ledger's second thread")
    }

    /// Until nobody orders anything any more.
    fn work_on(mut self) {
        let mut rest = REST;
        loop {
            match self.tasks.recv_timeout(rest) {
                Ok(task) => {
                    self.work(task);
                    rest = REST;
                }
                Err(RecvTimeoutError::Timeout) => rest = if self.index_next() { Duration::ZERO } else { REST },
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn work(&mut self, task: Task) {
        match task {
            Task::Make(number) => {
                // Who ordered it may be gone meanwhile.
                let _sent = self.made.send(Segment::open(&self.place, number, self.id, self.epoch));
            }
            Task::Settle(number, writer) => {
                self.unsettled.push((number, writer));
                self.unindexed.push(number);
                let place = &self.place;
                self.unsettled.retain(|(number, writer)| !is_settled(place, *number, writer.as_ref()));
            }
        }
    }

    /// Gives one closed file its indices; `false` when no file is left, or no room.
    fn index_next(&mut self) -> bool {
        let place = &self.place;
        let Some(number) = self.unindexed.pop_if(|_| has_room(place)) else {
            if !self.unindexed.is_empty() && !std::mem::replace(&mut self.is_said, true) {
                warn!(
                    "no indices: {} is nearly full; what is asked of closed files is searched row by row until there is room",
                    place.dir.display()
                );
            }
            if std::mem::take(&mut self.has_sorted) {
                // Indices are sorted in memory.
                rp_net::proc::give_memory_back();
            }
            return false;
        };
        self.is_said = false;
        self.has_sorted = true;
        match index(&self.place, number) {
            Ok(false) => self.unsettled.push((number, None)),
            Ok(true) => {}
            Err(error) => warn!("{}: no index: {error:#}; it is searched row by row", Place::segment_name(number)),
        }
        true
    }
}

/// Would commits have room beside the making of an index? A simulation's disk has.
fn has_room(place: &Place) -> bool {
    let is_enough = |free_bytes| free_bytes >= ROOM_FILES * place.segment_bytes;
    place.vfs.is_some() || rp_net::disk::free_bytes(&place.dir).is_ok_and(is_enough)
}

/// Gives a closed file its indices, unless it has them; `false` when somebody reads it, and its log stays for now.
fn index(place: &Place, number: u32) -> Result<bool> {
    let Some(mut file) = place.open(&Place::segment_name(number), Access::Write)? else { return Ok(true) };
    if segment::has_indices(&file)? {
        return Ok(true);
    }
    segment::index(&mut file)?;
    Ok(is_done(number, segment::settle(&file)))
}

/// Brings a closed file's log into it; `false` when somebody holds it. The writer's own handle knows the log to be on disk;
/// another writes it once more.
fn is_settled(place: &Place, number: u32, writer: Option<&Segment>) -> bool {
    if let Some(writer) = writer {
        return is_done(number, writer.settle());
    }
    match place.open(&Place::segment_name(number), Access::Write) {
        Ok(Some(file)) => is_done(number, segment::settle(&file)),
        Ok(None) => true,
        Err(error) if is_locked(&error) => false,
        Err(error) => {
            warn!("{error:#}");
            true
        }
    }
}

/// A log that cannot be brought in stays what it was, and is as good to read.
fn is_done(number: u32, settled: rusqlite::Result<()>) -> bool {
    match settled {
        Err(error) if segment::is_busy(&error) => false,
        Err(error) => {
            warn!("cannot bring the log of {} into it: {error}", Place::segment_name(number));
            true
        }
        Ok(()) => true,
    }
}
