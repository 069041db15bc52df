//! The ledger: every posting on disk, in one order, before anybody is told of it.
//!
//! It knows no red packet. It takes groups of postings, all or none, each SET's numbered without a gap; gives them back in
//! the order in which they were committed; and keeps what shortens the way back: projections of SETs, and a mark of how
//! far it was. [`sqlite`] is what a server runs on, [`memory`] what forgets. A replicated engine can take the same place:
//! what it must keep is in [`Ledger`], [`Keeper`] and [`Reader`], and `rp-server/tests/ledger` tries all alike.

pub mod archive;
pub mod backup;
mod catalogue;
mod chain;
mod copying;
mod finder;
mod heads;
mod lock;
mod log;
pub mod memory;
mod opening;
mod place;
mod reader;
mod refusal;
mod rows;
pub mod schema;
mod segment;
pub mod sqlite;
mod state;
mod trouble;
mod upkeep;

use anyhow::Result;
use rp_core::engine::asks::Ask;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::posting::Posting;

pub use chain::Chain;
pub(crate) use copying::sync;
pub use finder::Reach;
pub use heads::{Gap, Heads};
pub use place::{Place, Vfs, write_again};
pub use reader::SqliteReader;
pub use refusal::Refusal;

/// What became of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All of it is on disk.
    Durable {
        /// Position of its last posting.
        position: u64,
    },
    /// Nothing of it is there, nor will be; why.
    Failed(String),
    /// It may be there or not; why. Whoever opens the ledger next reads it in its [`Heads`].
    Unknown(String),
}

/// How far a ledger is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct End {
    /// Of the last posting; positions count from 1.
    pub position: u64,
    /// Checksum over all postings to there.
    pub chain: u64,
}

/// Commits, on a thread of its own.
pub trait Ledger: Send {
    /// Appends whole postings, written one after another, all or none.
    ///
    /// A [`Gap`] is refused and leaves the ledger as it was. After any other failure nothing is committed any more: what
    /// the disk holds is known only to the next opening.
    fn commit(&mut self, group: &[u8]) -> Outcome;

    /// How far it is.
    fn end(&self) -> End;

    /// The last sequence of each SET.
    fn heads(&self) -> &Heads;

    /// Leaves all in order for the next opening.
    ///
    /// # Errors
    /// The disk refuses; what was committed stays committed.
    fn close(self: Box<Self>) -> Result<()>;
}

/// Reads what is committed, beside the one who commits.
pub trait Reader: Send {
    /// Visits every posting from position `from` on, in order; returns the position behind the last one.
    ///
    /// # Errors
    /// The visitor's, or what is read is damaged.
    fn read(&mut self, from: u64, visit: &mut dyn FnMut(u64, &Posting<'_>) -> Result<()>) -> Result<u64>;
}

/// Finds what is committed by whom or what it is about, beside the one who commits.
pub trait Finder: Send {
    /// Answers a question by all that is committed; the answer's length.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn answer(&mut self, ask: &Ask, out: &mut [u8; DATAGRAM_MAX]) -> Result<usize>;
}

/// Keeps what shortens the next opening, beside the one who commits.
pub trait Keeper: Send {
    /// Keeps a projection in place of the SET's last one. All it holds must be durable.
    ///
    /// # Errors
    /// The disk refuses.
    fn keep(&mut self, projection: &Projection) -> Result<()>;

    /// Every SET's projection.
    ///
    /// # Errors
    /// They cannot be read, or are damaged.
    fn projections(&mut self) -> Result<Vec<Projection>>;

    /// Keeps the mark in place of the last one.
    ///
    /// # Errors
    /// The disk refuses.
    fn mark(&mut self, mark: &Mark) -> Result<()>;
}

/// Takes what an opened ledger holds: each projection, then each posting that no projection holds, in order.
pub trait Restore {
    /// What a SET was.
    ///
    /// # Errors
    /// It is none: the ledger is refused.
    fn projection(&mut self, projection: &Projection) -> Result<()>;

    /// What it did since.
    ///
    /// # Errors
    /// It cannot be done: the ledger is refused.
    fn posting(&mut self, position: u64, posting: &Posting<'_>) -> Result<()>;
}

/// A ledger that is checked, but for nobody.
impl Restore for () {
    fn projection(&mut self, _: &Projection) -> Result<()> {
        Ok(())
    }

    fn posting(&mut self, _: u64, _: &Posting<'_>) -> Result<()> {
        Ok(())
    }
}

/// What a SET was after one of its postings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Projection {
    /// The SET.
    pub set: u16,
    /// Its last posting in it.
    pub sequence: u64,
    /// Every posting of the SET up to this position is in it.
    pub floor: u64,
    /// The rest is the SET's own affair.
    pub bytes: Vec<u8>,
}

/// How far the ledger was, and when, by every clock. Never ahead of what is durable.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// How far.
    pub end: End,
    /// The last sequence of each SET.
    pub heads: Heads,
    /// When.
    pub time: Time,
}

/// One moment on every clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Time {
    /// The ledger's own clock, which no change of the wall clock moves.
    pub ledger_ms: u64,
    /// Since the machine started, sleep included.
    pub boot_ms: u64,
    /// Which start of the machine that was.
    pub boot: [u8; 16],
    /// Since 1970.
    pub unix_ms: u64,
}

impl Time {
    /// Now, `ledger_ms` being the ledger's own.
    ///
    /// # Errors
    /// The system does not tell which start of the machine this is.
    pub fn now(ledger_ms: u64) -> Result<Time> {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Time {
            ledger_ms,
            boot_ms: rp_net::proc::boot_time().as_millis() as u64,
            boot: rp_net::proc::boot_id()?,
            unix_ms: since_1970.as_millis() as u64,
        })
    }
}

/// A ledger that was checked and read back; its parts go to threads of their own.
pub struct Opened {
    /// For the one who commits.
    pub ledger: Box<dyn Ledger>,
    /// For the one who keeps projections and marks.
    pub keeper: Box<dyn Keeper>,
    /// For one who reads.
    pub reader: Box<dyn Reader>,
    /// For one who answers from it; `None` when it keeps no postings.
    pub finder: Option<Box<dyn Finder>>,
    /// As it was found.
    pub mark: Mark,
}
