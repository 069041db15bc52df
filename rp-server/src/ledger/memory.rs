//! A ledger in memory: for `--durability none`, which keeps only how far it is, and for tests, which read it back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use rp_core::engine::asks::Ask;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::posting::{self, Posting};

use super::chain::Chain;
use super::heads::Heads;
use super::{End, Finder, Keeper, Ledger, Mark, Opened, Outcome, Projection, Reader, Restore};

/// What openings of the same ledger share.
#[derive(Clone)]
pub struct MemoryStore(Arc<Mutex<Store>>);

struct Store {
    keeps_postings: bool,
    epoch: u64,
    bytes: Vec<u8>,
    /// Where each posting ends.
    ends: Vec<usize>,
    chain: Chain,
    heads: Heads,
    mark: Mark,
    projections: BTreeMap<u16, Projection>,
}

impl MemoryStore {
    /// An empty ledger; one that keeps no postings has nothing to read, and takes no memory.
    pub fn new(keeps_postings: bool) -> MemoryStore {
        MemoryStore(Arc::new(Mutex::new(Store {
            keeps_postings,
            epoch: 0,
            bytes: Vec::new(),
            ends: Vec::new(),
            chain: Chain::new([0; 16], End::default()),
            heads: Heads::default(),
            mark: Mark::default(),
            projections: BTreeMap::new(),
        })))
    }

    /// Opens it for writing, which ends every earlier opening.
    ///
    /// # Errors
    /// What `restore` says.
    pub fn open(&self, restore: &mut dyn Restore) -> Result<Opened> {
        let mut store = self.store();
        store.epoch += 1;
        store.projections.values().try_for_each(|projection| restore.projection(projection))?;
        let is_new = |posting: &Posting<'_>| {
            store.projections.get(&posting.set).is_none_or(|projection| posting.sequence > projection.sequence)
        };
        let postings = (1..).zip(posting::each(&store.bytes)).filter(|(_, posting)| is_new(posting));
        postings.into_iter().try_for_each(|(position, posting)| restore.posting(position, &posting))?;
        let ledger = MemoryLedger {
            store: self.clone(),
            epoch: store.epoch,
            heads: store.heads.clone(),
            end: store.chain.end(),
            is_fenced: false,
        };
        Ok(Opened {
            ledger: Box::new(ledger),
            keeper: Box::new(self.clone()),
            reader: Box::new(self.clone()),
            finder: store.keeps_postings.then(|| Box::new(self.clone()) as Box<dyn Finder>),
            mark: store.mark.clone(),
        })
    }

    /// Another opening's panic left whole groups: they are appended after all checks.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MemoryLedger {
    store: MemoryStore,
    epoch: u64,
    heads: Heads,
    end: End,
    is_fenced: bool,
}

impl Ledger for MemoryLedger {
    fn commit(&mut self, group: &[u8]) -> Outcome {
        let mut guard = self.store.store();
        let store = &mut *guard;
        self.is_fenced |= store.epoch != self.epoch;
        if self.is_fenced {
            return Outcome::Failed("the ledger stopped: it was opened again since".to_owned());
        }
        if let Err(gap) = store.heads.advance(group) {
            return Outcome::Failed(gap.to_string());
        }
        for posting in posting::each(group) {
            store.chain.link(&posting);
            if store.keeps_postings {
                let end = store.ends.last().unwrap_or(&0) + posting.len();
                store.ends.push(end);
            }
        }
        if store.keeps_postings {
            store.bytes.extend_from_slice(group);
        }
        self.heads.clone_from(&store.heads);
        self.end = store.chain.end();
        Outcome::Durable { position: self.end.position }
    }

    fn end(&self) -> End {
        self.end
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Reader for MemoryStore {
    fn read(&mut self, from: u64, visit: &mut dyn FnMut(u64, &Posting<'_>) -> Result<()>) -> Result<u64> {
        let store = self.store();
        let from = from.max(1);
        let before = (from - 1).min(store.ends.len() as u64) as usize;
        let start = before.checked_sub(1).map_or(0, |last| store.ends[last]);
        let mut next = from;
        for posting in posting::each(&store.bytes[start..]) {
            visit(next, &posting)?;
            next += 1;
        }
        Ok(next)
    }
}

/// Looks at every posting.
impl Finder for MemoryStore {
    fn answer(&mut self, ask: &Ask, out: &mut [u8; DATAGRAM_MAX]) -> Result<usize> {
        let store = self.store();
        let found = (1..).zip(posting::each(&store.bytes)).filter(|(_, posting)| ask.is_about(posting));
        Ok(match ask {
            Ask::Detail(ask) => ask.answer(found.map(|(_, posting)| posting), out),
            Ask::History(ask) => {
                let is_older = |position: &u64| ask.before == 0 || *position < ask.before;
                let mut older: Vec<_> = found.filter(|(position, _)| is_older(position)).collect();
                older.reverse();
                ask.answer(older.into_iter(), 0, out)
            }
        })
    }
}

impl Keeper for MemoryStore {
    fn keep(&mut self, projection: &Projection) -> Result<()> {
        self.store().projections.insert(projection.set, projection.clone());
        Ok(())
    }

    fn projections(&mut self) -> Result<Vec<Projection>> {
        Ok(self.store().projections.values().cloned().collect())
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        self.store().mark = mark.clone();
        Ok(())
    }
}
