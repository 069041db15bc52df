//! The ledger at start: opened and read back into the workers' SETs and the bank, before any port is; then the threads that
//! keep it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use rp_core::cookie::Baker;
use rp_core::engine::bank::{Bank, BankBooks};
use rp_core::engine::board::Board;
use rp_core::engine::books::Books;
use rp_core::engine::{Config, Shard};
use rp_core::ticket::Realm;
use rp_net::wait::Waker;

use crate::archivist::{self, Archive, Marks};
use crate::clock::Clock;
use crate::ledger::memory::MemoryStore;
use crate::ledger::{Opened, Place, Time, sqlite};
use crate::librarian::{Hatch, LibrarianFace, Library};
use crate::recovery::{self, Read, Recovery};
use crate::scribe::{Desk, Scribe, ScribeFace};

/// Where postings are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Durability {
    /// On disk before anyone is told.
    Disk,
    /// Nowhere: for load tests only. All money is gone when the server ends.
    None,
}

impl Durability {
    /// The name used in flags, status and reports.
    pub fn name(self) -> &'static str {
        match self {
            Durability::Disk => "disk",
            Durability::None => "none",
        }
    }
}

/// Flags about the ledger.
#[derive(Args, Clone)]
#[command(next_help_heading = "Machine")]
pub struct DataArgs {
    /// Folder of the ledger; made when absent
    #[arg(long, env = "RP_DATA", value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Where postings are before anyone is told
    #[arg(long, env = "RP_DURABILITY", hide_short_help = true, value_name = "WHERE", default_value = "disk")]
    pub durability: Durability,
}

/// What workers and bank are made of, besides the ledger.
pub struct Parts<'a> {
    /// Of worker 0; the others differ in their number.
    pub config: Config,
    /// Cookies.
    pub baker: Baker,
    /// Realms of tickets.
    pub realms: &'a [Realm],
    /// Counters by worker.
    pub books: &'a [Arc<Books>],
    /// The bank's.
    pub bank_books: &'a Arc<BankBooks>,
}

/// The ledger, and all that it restored.
pub struct Vault {
    /// By worker.
    pub shards: Vec<Shard>,
    /// The bank.
    pub bank: Bank,
    opened: Opened,
    ledger_ms: i64,
    clock: Clock,
    /// Postings that no projection holds.
    unprojected: u64,
    /// What was read, and how long that took.
    said: String,
}

/// What was restored, and what keeps it from here on.
pub struct Kept {
    /// By worker.
    pub shards: Vec<Shard>,
    /// The bank.
    pub bank: Bank,
    /// The workers', then the bank's.
    pub desks: Vec<Desk>,
    /// Where projections go.
    pub archive: Archive,
    /// Where the workers ask what only the ledger knows; none when it keeps nothing.
    pub hatches: Vec<Hatch>,
    /// What others see of the librarian.
    pub librarian: Arc<LibrarianFace>,
    /// The threads.
    pub keeping: Keeping,
}

/// The threads that keep the ledger.
pub struct Keeping {
    /// What others see of the scribe.
    pub face: Arc<ScribeFace>,
    alarm: Waker,
    scribe: JoinHandle<Result<()>>,
    archivist: JoinHandle<Result<()>>,
    library: Option<Library>,
}

impl DataArgs {
    /// The ledger's folder, where there is to be one.
    pub fn folder(&self) -> Option<&Path> {
        (self.durability == Durability::Disk).then_some(self.data.as_path())
    }

    /// Opens the ledger and restores from it.
    ///
    /// # Errors
    /// It is damaged, another's, not writable, or was written by another number of SETs.
    pub fn open(&self, parts: &Parts<'_>, clock: Clock) -> Result<Vault> {
        let begun = Instant::now();
        // Nothing that is restored needs a place on a board, and the gate's is there only once ports are open.
        let board = Arc::new(Board::own(0));
        let Parts { config, baker, realms, books, bank_books } = parts;
        let mut shards = Vec::new();
        for worker in 0..config.workers {
            let config = Config { worker, ..*config };
            let (realms, books) = (realms.to_vec(), books.to_vec());
            shards.push(Shard::new(config, *baker, realms, super::draw()?, books, (*bank_books).clone(), &board));
        }
        let now = clock.now();
        let mut bank =
            Bank::new(config.sets, (*bank_books).clone(), books.to_vec(), board, super::draw()?, now.unix_s());
        let mut recovery = Recovery::new(&mut shards, &mut bank, config.sets, now);
        let opened = match self.durability {
            Durability::Disk => sqlite::open(&Place { sets: config.sets, ..Place::new(&self.data) }, &mut recovery)?,
            Durability::None => MemoryStore::new(false).open(&mut recovery)?,
        };
        // Reading may have taken a while.
        let now = clock.now();
        recovery.now = now;
        let read = recovery.complete()?;
        let ledger_ms = recovery::clock_ms(&opened.mark, &Time::now(0)?, now);
        shards.iter_mut().for_each(|shard| shard.set_clock(ledger_ms));
        let said = self.said(read, begun.elapsed());
        Ok(Vault { shards, bank, opened, ledger_ms, clock, unprojected: read.postings, said })
    }

    fn said(&self, read: Read, took: Duration) -> String {
        let Read { projections, postings } = read;
        match self.durability {
            Durability::None => "none: nothing is kept, for load tests only (--durability none)".to_owned(),
            Durability::Disk => format!(
                "{}: {postings} postings and {projections} projections read and every sum checked in {:.1} s",
                self.data.display(),
                took.as_secs_f64()
            ),
        }
    }
}

impl Vault {
    /// One line for the start-up block.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Starts the threads that keep the ledger: desks for the workers, then the bank's, which looks by itself.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn keep(self, wakers: &[Waker]) -> Result<Kept> {
        let face = Arc::new(ScribeFace::default());
        let writers = wakers.iter().cloned().map(Some).chain([None]);
        let (scribe, desks) = Scribe::new(self.opened.ledger, self.unprojected, writers, face.clone())?;
        let (archive, archivist) = archivist::start(self.opened.keeper)?;
        let mut marks = Marks::new(archive.clone(), self.clock, self.ledger_ms);
        let (alarm, gone) = (scribe.waker(), Gone(face.clone()));
        let scribe = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                let _gone = gone;
                scribe.run(move |ledger, is_end| marks.beat(ledger, is_end))
            })
            .context("starting the ledger's thread")?;
        let opened = self.opened.finder.map(|finder| Library::open(finder, wakers)).transpose()?;
        let (library, hatches) = opened.map_or((None, Vec::new()), |(library, hatches)| (Some(library), hatches));
        let librarian = library.as_ref().map(|library| library.face.clone()).unwrap_or_default();
        let keeping = Keeping { face, alarm, scribe, archivist, library };
        Ok(Kept { shards: self.shards, bank: self.bank, desks, archive, hatches, librarian, keeping })
    }
}

/// However the scribe ends, its face says so.
struct Gone(Arc<ScribeFace>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::SeqCst);
    }
}

impl Keeping {
    /// Ends the threads, once every writer has.
    ///
    /// # Errors
    /// What the disk said.
    pub fn end(self) -> Result<()> {
        self.face.stop.store(true, Ordering::SeqCst);
        self.alarm.wake();
        let join = |thread: JoinHandle<Result<()>>, name: &str| {
            thread.join().unwrap_or_else(|_| anyhow::bail!("the {name} panicked: see its message above"))
        };
        let written = join(self.scribe, "ledger's thread");
        let kept = join(self.archivist, "archivist");
        let read = self.library.map_or(Ok(()), Library::close);
        written.and(kept).and(read)
    }
}
