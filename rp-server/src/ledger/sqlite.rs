//! The ledger in SQLite files: one commit a group, in the write-ahead log of the file that is open.
//!
//! A checkpoint of SQLite's holds commits up for tens of milliseconds, so there is none where it writes: when a file's log
//! is long enough, the group that comes next also closes the file, and the one after goes into the next, which was made
//! meanwhile. Closed files are checkpointed by another thread.

use anyhow::{Result, bail};

use super::chain::Chain;
use super::heads::Heads;
use super::lock::Lock;
use super::place::Place;
use super::segment::{self, Segment, Unwritten};
use super::upkeep::Upkeep;
use super::{End, Ledger, Outcome};

pub use super::opening::open;

/// The ledger's writer.
pub struct SqliteLedger {
    segment: Segment,
    segment_bytes: u64,
    upkeep: Upkeep,
    heads: Heads,
    chain: Chain,
    /// Why nothing is committed any more.
    broken: Option<String>,
    /// The last to be dropped: until then the folder is ours.
    _lock: Lock,
}

impl SqliteLedger {
    pub(super) fn new(
        place: &Place,
        segment: Segment,
        upkeep: Upkeep,
        heads: Heads,
        chain: Chain,
        lock: Lock,
    ) -> SqliteLedger {
        let segment_bytes = place.segment_bytes;
        SqliteLedger { segment, segment_bytes, upkeep, heads, chain, broken: None, _lock: lock }
    }

    /// The file to go on in, when this one is full and the next is made.
    fn next(&mut self) -> Result<Option<Segment>> {
        if self.segment.written_bytes() < self.segment_bytes {
            return Ok(None);
        }
        self.upkeep.next().transpose()
    }

    fn break_off(&mut self, group: &[u8], end: End, why: String) -> String {
        self.heads.retreat(group);
        self.chain.go_back(end);
        self.broken = Some(format!("the ledger stopped: {why}"));
        why
    }
}

impl Ledger for SqliteLedger {
    fn commit(&mut self, group: &[u8]) -> Outcome {
        if let Some(why) = &self.broken {
            return Outcome::Failed(why.clone());
        }
        self.upkeep.help();
        let count = match self.heads.advance(group) {
            Ok(count) => count,
            Err(gap) => return Outcome::Failed(gap.to_string()),
        };
        let end = self.chain.end();
        let next = match self.next() {
            Ok(next) => next,
            Err(error) => return Outcome::Failed(self.break_off(group, end, format!("no next file: {error:#}"))),
        };
        match self.segment.append(group, count, &mut self.chain, next.is_some()) {
            Ok(()) => {}
            Err(Unwritten::Fenced) => {
                let why = "another rp-server has opened it since".to_owned();
                return Outcome::Failed(self.break_off(group, end, why));
            }
            Err(Unwritten::Refused(error)) => {
                return Outcome::Failed(self.break_off(group, end, format!("a write failed: {error}")));
            }
            Err(Unwritten::Unsure(error)) => {
                return Outcome::Unknown(self.break_off(group, end, format!("a sync failed: {error}")));
            }
        }
        if let Some(next) = next {
            self.upkeep.retire(std::mem::replace(&mut self.segment, next));
        }
        Outcome::Durable { position: self.chain.end().position }
    }

    fn end(&self) -> End {
        self.chain.end()
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    fn close(self: Box<Self>) -> Result<()> {
        if let Some(why) = &self.broken {
            bail!("{why}");
        }
        // A log that somebody reads stays, and is as good as the file.
        match self.segment.settle() {
            Err(error) if !segment::is_busy(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}
