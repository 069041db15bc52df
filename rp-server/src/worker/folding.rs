//! Projections, one SET at a time, so that no datagram waits for more than one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rp_core::engine::{Now, Shard};

use crate::archivist::Archive;
use crate::scribe::Desk;

/// The next SET is folded so long after the one before: the archivist keeps one in less, so that none pile up in memory.
const REST_US: u64 = 20_000;
/// At the end of a worker, projections are worth their time from so many postings on.
pub const WORTH: u64 = 65_536;

/// How far one worker is.
#[derive(Default)]
pub struct Folding {
    checkpoint: u64,
    /// Rows yet to fold.
    left: usize,
    last_us: u64,
}

impl Folding {
    /// Folds the next SET, if it is time.
    pub(super) fn beat(&mut self, now: Now, shard: &mut Shard, desk: &Desk, archive: &Archive) {
        let checkpoint = desk.scribe().checkpoint.load(Ordering::Relaxed);
        if self.left == 0 && checkpoint != self.checkpoint {
            (self.checkpoint, self.left) = (checkpoint, shard.count());
        }
        if self.left > 0 && now.mono_us >= self.last_us + REST_US {
            self.last_us = now.mono_us;
            self.left -= usize::from(fold(self.left - 1, shard, desk, archive));
        }
    }

    /// Folds all, if a start would read long otherwise.
    pub(super) fn end(&self, shard: &mut Shard, desk: &Desk, archive: &Archive) {
        if !shard.journal().is_durable() || desk.scribe().unprojected() < WORTH {
            return;
        }
        for row in 0..shard.count() {
            while !fold(row, shard, desk, archive) && !desk.scribe().gone.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Folds one SET; `false` when it is to be tried again.
fn fold(row: usize, shard: &mut Shard, desk: &Desk, archive: &Archive) -> bool {
    let (set, sequence, bytes) = shard.fold(row);
    archive.keep(set, sequence, bytes, shard.journal().written(), desk)
}
