//! The archivist: one thread that keeps projections and marks, so that neither a worker nor a commit waits for them.
//!
//! A worker folds one SET at a time, between two batches; what it folded is kept once the SET's postings are on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tracing::warn;

use crate::clock::Clock;
use crate::ledger::{End, Keeper, Ledger, Mark, Projection, Time};
use crate::scribe::{Desk, ScribeFace};

/// A mark is kept so often.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// Entries that wait: a SET can fold to megabytes.
const ENTRIES_MAX: usize = 8;
/// How long what is folded waits for its postings, which are on their way.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it is given.
enum Entry {
    Mark(Mark),
    Folded { projection: Projection, written: u64, durable: Arc<AtomicU64>, scribe: Arc<ScribeFace> },
}

/// The way to it.
#[derive(Clone)]
pub struct Archive(SyncSender<Entry>);

impl Archive {
    /// Hands in what a writer folded, of whose postings so many were `written` then; `false` when the archivist has enough
    /// to do. Never waits.
    pub fn keep(&self, set: u16, sequence: u64, bytes: Vec<u8>, written: u64, desk: &Desk) -> bool {
        // What is on disk at this moment came before every posting that is not in the fold.
        let floor = desk.scribe().position.load(Ordering::SeqCst);
        let projection = Projection { set, sequence, floor, bytes };
        let scribe = desk.scribe().clone();
        self.0.try_send(Entry::Folded { projection, written, durable: desk.durable(), scribe }).is_ok()
    }
}

/// Starts it.
///
/// # Errors
/// No thread can be started.
pub fn start(mut keeper: Box<dyn Keeper>) -> Result<(Archive, JoinHandle<Result<()>>)> {
    let (sender, entries) = mpsc::sync_channel(ENTRIES_MAX);
    let thread = std::thread::Builder::new().name("archivist".into());
    let thread = thread.spawn(move || work(&mut *keeper, &entries)).context("starting the archivist's thread")?;
    Ok((Archive(sender), thread))
}

fn work(keeper: &mut dyn Keeper, entries: &Receiver<Entry>) -> Result<()> {
    let mut outcome = Ok(());
    for entry in entries {
        match entry {
            Entry::Mark(mark) => note(&mut outcome, keeper.mark(&mark).context("keeping the ledger's mark")),
            Entry::Folded { projection, written, durable, scribe } => {
                let since = Instant::now();
                let has_it = || durable.load(Ordering::SeqCst) >= written;
                while !has_it() && !scribe.gone.load(Ordering::SeqCst) && since.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if has_it() {
                    note(&mut outcome, keeper.keep(&projection).context("keeping a projection"));
                }
            }
        }
    }
    outcome
}

/// A mark or a projection that the disk refused costs the next start time and no money: it is told, and the next is tried.
fn note(outcome: &mut Result<()>, kept: Result<()>) {
    if let Err(error) = kept {
        if outcome.is_ok() {
            warn!("{error:#}; the ledger itself goes on, the next start may read longer");
        }
        *outcome = Err(error);
    }
}

/// Sends marks: one a second while the ledger grows.
pub struct Marks {
    archive: Archive,
    clock: Clock,
    ledger_ms: i64,
    last: End,
    last_at: Instant,
}

impl Marks {
    /// Marks by this clock; `ledger_ms` is what the ledger's own shows when the monotonic clock shows zero.
    pub fn new(archive: Archive, clock: Clock, ledger_ms: i64) -> Marks {
        Marks { archive, clock, ledger_ms, last: End::default(), last_at: Instant::now() }
    }

    /// Sends one if it is time; at the end it is.
    pub fn beat(&mut self, ledger: &dyn Ledger, is_end: bool) {
        let end = ledger.end();
        if !is_end && (self.last_at.elapsed() < MARK_EVERY || end == self.last) {
            return;
        }
        let ledger_ms = (self.clock.now().mono_us / 1000) as i64 + self.ledger_ms;
        let Ok(time) = Time::now(ledger_ms.max(0) as u64) else { return };
        (self.last, self.last_at) = (end, Instant::now());
        let mark = Entry::Mark(Mark { end, heads: ledger.heads().clone(), time });
        // A commit never waits for a mark, but the last mark is worth waiting for.
        let _may_be_full =
            if is_end { self.archive.0.send(mark).is_ok() } else { self.archive.0.try_send(mark).is_ok() };
    }
}
