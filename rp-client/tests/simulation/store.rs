//! The real ledger on a disk in memory, with a scribe and an archivist whose moments follow from the seed: how large groups
//! are, how long a commit takes, when a SET is folded, how long what was folded and marked waits to be kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rp_core::engine::asks::Ask;
use rp_core::engine::journal::{EVENT_MAX, Journal};
use rp_core::limits::DATAGRAM_MAX;
use rp_core::posting;
use rp_server::audit::figures::Figures;
use rp_server::audit::follow;
use rp_server::audit::model::Model;
use rp_server::ledger::{
    Finder, Keeper, Ledger, Mark, Outcome, Place, Projection, Restore, SqliteReader, Time, Vfs, sqlite,
};

use crate::disk::Disk;
use crate::server::SETS;
use crate::vfs::{self, Mount};

/// A file is closed at about so much.
const SEGMENT_BYTES: u64 = 160 << 10;
/// What may wait of one writer.
const RING_BYTES: usize = 4 * EVENT_MAX;

/// The ledger, open or not, and what is on its way to it.
pub struct Store {
    opened: Option<Hands>,
    writers: Vec<Writer>,
    /// The group that is being committed, until when.
    under_way: Option<(u64, u64)>,
    rest_until_us: u64,
    /// Position of the last group that everybody was told of.
    position: u64,
    folds: VecDeque<Fold>,
    rng: ChaCha8Rng,
    /// Starts of the machine.
    boots: u8,
    pub place: Place,
    /// The last to go: every connection is over it.
    mount: Mount,
}

struct Hands {
    ledger: Box<dyn Ledger>,
    keeper: Box<dyn Keeper>,
    finder: Box<dyn Finder>,
}

/// One writer's postings on their way.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Its postings in the group under way.
    count: u64,
    durable: u64,
}

/// What the archivist is given.
enum Fold {
    Mark(Mark),
    Folded { projection: Projection, writer: usize, written: u64 },
}

impl Store {
    /// A ledger that was never opened, for so many writers.
    pub fn new(seed: u64, writers: usize) -> Store {
        static STORES: AtomicU64 = AtomicU64::new(0);
        let name = format!("rp-disk-{}-{}", std::process::id(), STORES.fetch_add(1, Ordering::Relaxed));
        let mount = Mount::new(&name, Disk::new(seed), seed);
        // The lock on the folder is the system's own; the files are the mount's.
        let dir = std::env::temp_dir().join(&name);
        let vfs = Vfs { name, write_again: vfs::write_again };
        let place =
            Place { vfs: Some(vfs), sets: SETS, segment_bytes: SEGMENT_BYTES, is_inline: true, ..Place::new(&dir) };
        Store {
            opened: None,
            writers: (0..writers).map(|_| Writer::default()).collect(),
            under_way: None,
            rest_until_us: 0,
            position: 0,
            folds: VecDeque::new(),
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x1ed9e2),
            boots: 1,
            place,
            mount,
        }
    }

    /// Opens it, and hands what it holds to `restore`.
    pub fn open(&mut self, restore: &mut dyn Restore) -> Result<Mark> {
        let opened = sqlite::open(&self.place, restore)?;
        self.position = opened.ledger.end().position;
        let finder = opened.finder.expect("a ledger on disk is read back");
        self.opened = Some(Hands { ledger: opened.ledger, keeper: opened.keeper, finder });
        Ok(opened.mark)
    }

    /// Now, by every clock; the ledger's own shows `ledger_ms`.
    pub fn time(&self, now_us: u64, ledger_ms: u64) -> Time {
        Time { ledger_ms, boot_ms: now_us / 1000, boot: [self.boots; 16], unix_ms: now_us / 1000 }
    }

    pub fn disk<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        act(&mut self.mount.state().disk)
    }

    /// As a desk of the scribe's: takes what a writer wrote, and says how much of it is on disk.
    pub fn carry(&mut self, writer: usize, journal: &mut Journal) -> u64 {
        let writer = &mut self.writers[writer];
        let room = RING_BYTES - writer.bytes.len().min(RING_BYTES);
        if journal.bytes().len() <= room {
            writer.bytes.extend_from_slice(journal.bytes());
            journal.taken(journal.bytes().len());
        }
        journal.set_room(RING_BYTES - writer.bytes.len().min(RING_BYTES));
        writer.durable
    }

    /// Takes what a writer folded, of whose postings so many were written.
    pub fn fold(&mut self, (set, sequence, bytes): (u16, u64, Vec<u8>), writer: usize, written: u64) {
        let projection = Projection { set, sequence, floor: self.position, bytes };
        self.folds.push_back(Fold::Folded { projection, writer, written });
    }

    /// One in so many?
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }

    /// Does what the scribe and the archivist have to do at this moment. An error ends the server.
    pub fn work(&mut self, now_us: u64) -> Result<()> {
        if let Some((until_us, position)) = self.under_way
            && until_us <= now_us
        {
            self.under_way = None;
            self.position = position;
            for writer in &mut self.writers {
                writer.durable += std::mem::take(&mut writer.count);
            }
            if self.one_in(4) {
                self.mark(now_us);
            }
        }
        if self.under_way.is_none() && self.rest_until_us <= now_us {
            self.commit(now_us)?;
        }
        if self.one_in(8) {
            self.keep()?;
        }
        Ok(())
    }

    /// What is under way is done at once.
    pub fn hurry(&mut self) {
        self.under_way = self.under_way.map(|(_, position)| (0, position));
        self.rest_until_us = 0;
    }

    /// As the librarian: answers from what is committed.
    pub fn answer(&mut self, ask: &Ask, out: &mut [u8; DATAGRAM_MAX]) -> Result<usize> {
        self.opened.as_mut().expect("an open ledger").finder.answer(ask, out)
    }

    /// Is everything told that was carried?
    pub fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.writers.iter().all(|writer| writer.bytes.is_empty())
    }

    fn commit(&mut self, now_us: u64) -> Result<()> {
        let mut left = 1 << self.below(13);
        let mut group = Vec::new();
        let first = self.below(self.writers.len() as u64) as usize;
        let count = self.writers.len();
        for at in (0..count).map(|at| (first + at) % count) {
            left -= self.writers[at].take(left, &mut group).min(left);
        }
        if group.is_empty() {
            return Ok(());
        }
        let took_us = match self.below(64) {
            0 => 30_000 + self.below(200_000),
            1..8 => self.below(20_000),
            _ => self.below(1_500),
        };
        self.rest_until_us = now_us + took_us + [0, 1_000, 5_000][self.below(3) as usize];
        let hands = self.opened.as_mut().expect("an open ledger");
        match hands.ledger.commit(&group) {
            Outcome::Durable { position } => self.under_way = Some((now_us + took_us, position)),
            Outcome::Failed(why) | Outcome::Unknown(why) => bail!("{why}"),
        }
        Ok(())
    }

    fn mark(&mut self, now_us: u64) {
        let time = self.time(now_us, now_us / 1000);
        let ledger = &self.opened.as_ref().expect("an open ledger").ledger;
        self.folds.push_back(Fold::Mark(Mark { end: ledger.end(), heads: ledger.heads().clone(), time }));
    }

    /// Keeps the next of what was folded and marked, if its postings are on disk.
    fn keep(&mut self) -> Result<()> {
        if let Some(Fold::Folded { writer, written, .. }) = self.folds.front()
            && self.writers[*writer].durable < *written
        {
            return Ok(());
        }
        let keeper = &mut self.opened.as_mut().expect("an open ledger").keeper;
        match self.folds.pop_front() {
            Some(Fold::Mark(mark)) => keeper.mark(&mark),
            Some(Fold::Folded { projection, .. }) => keeper.keep(&projection),
            None => Ok(()),
        }
    }

    /// Leaves all in order.
    pub fn close(&mut self) -> Result<()> {
        // What waits for postings that are not on disk by now waits for ever: the ledger has ended.
        while !self.folds.is_empty() {
            let before = self.folds.len();
            self.keep()?;
            if self.folds.len() == before {
                self.folds.pop_front();
            }
        }
        let Some(Hands { ledger, keeper, finder }) = self.opened.take() else { return Ok(()) };
        drop((keeper, finder));
        ledger.close()
    }

    /// The process is gone, and perhaps the power; what it had in hand is lost.
    pub fn crash(&mut self, is_power_out: bool) {
        self.disk(Disk::stop);
        self.opened = None;
        self.disk(|disk| disk.crash(is_power_out));
        self.boots += u8::from(is_power_out);
        self.forget();
    }

    /// A new process has written nothing yet.
    pub fn forget(&mut self) {
        self.writers.iter_mut().for_each(|writer| *writer = Writer::default());
        (self.under_way, self.rest_until_us) = (None, 0);
        self.folds.clear();
    }

    /// A reader of what is there.
    pub fn reader(&self) -> SqliteReader {
        SqliteReader::open(&self.place).expect("the ledger can be read")
    }

    /// What `rp-server audit` finds.
    pub fn figures(&self, sets: u32) -> Figures {
        let model = follow(&mut self.reader(), Model::new(sets)).unwrap_or_else(|fault| panic!("{fault:#}"));
        model.figures().unwrap_or_else(|fault| panic!("{fault}"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.disk(Disk::stop);
        self.opened = None;
        // It holds the lock's file at most.
        let _removed = std::fs::remove_dir_all(&self.place.dir);
    }
}

impl Writer {
    /// Moves whole events, of about so many postings, to the end of a group; how many postings.
    fn take(&mut self, most: usize, group: &mut Vec<u8>) -> usize {
        let (mut count, mut end, mut is_whole) = (0, 0, true);
        while (count < most || !is_whole)
            && let Some(len) = posting::len_of(&self.bytes[end..])
        {
            is_whole = posting::ends_event(&self.bytes[end..]);
            end += len;
            count += 1;
        }
        group.extend(self.bytes.drain(..end));
        self.count = count as u64;
        count
    }
}
