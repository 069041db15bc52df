//! The memory that the gate and all workers share: an entry per slot, a pot per SET, clients' numbers and limits, and what
//! the gate counts by itself. Plain memory without a gate.

use alloc::boxed::Box;
use core::ops::Deref;

use crate::bucket::take_shared;
use crate::clients::{CLIENT_ROWS, Clients};
use crate::entry::{ENTRY_WORDS, Entry, Words};
use crate::gate_counters::CLIENT_WORDS;
use crate::limits::{DENIED_MAX, PREFIX_BUCKETS, SLOTS_PER_SET};
pub use crate::line::Line;
use crate::pot::Pot;
use crate::prefix::Prefix;
use crate::rules::{RULES_WORDS, Rules};
use crate::timeline;
use crate::wire::{Origin, bytes_of, words_of};

/// Lines in a row.
pub enum Table {
    /// Of this process alone.
    Own(Box<[Line]>),
    /// A map of the kernel's, mapped for as long as the process lives.
    Mapped(&'static [Line]),
}

impl Table {
    /// So many lines, all zero, of this process alone.
    pub fn own(lines: usize) -> Table {
        Table::Own((0..lines).map(|_| Line::default()).collect())
    }
}

impl Deref for Table {
    type Target = [Line];

    #[inline(always)]
    fn deref(&self) -> &[Line] {
        match self {
            Table::Own(lines) => lines,
            Table::Mapped(lines) => lines,
        }
    }
}

/// What the gate counts by itself, for each of so many CPUs; empty without a gate.
#[derive(Clone, Copy, Default)]
pub struct GateBooks {
    /// Rows of [`CLIENT_ROWS`] clients, four lines each.
    pub clients: &'static [Line],
    /// Bins of the timeline, eight in a line.
    pub timeline: &'static [Line],
}

const ROW_LINES: usize = CLIENT_WORDS / ENTRY_WORDS;

/// All that gate and workers share.
pub struct Board {
    entries: Table,
    pots: Table,
    clients: Table,
    rules: Table,
    gate: GateBooks,
    /// Buckets of parts of the network, eight in a line; the gate has its own.
    prefixes: Table,
    /// The deny list, for what no gate has seen.
    denied: Table,
}

/// The gate's maps.
pub struct Maps {
    /// A line for each slot.
    pub entries: &'static [Line],
    /// A line for each SET.
    pub pots: &'static [Line],
    /// [`CLIENT_ROWS`] lines.
    pub clients: &'static [Line],
    /// Two lines.
    pub rules: &'static [Line],
    /// What the gate counts.
    pub books: GateBooks,
}

impl Board {
    /// Plain memory for so many SETs.
    pub fn own(sets: u32) -> Board {
        let sets = sets as usize;
        Board {
            entries: Table::own(sets * SLOTS_PER_SET),
            pots: Table::own(sets),
            clients: Table::own(CLIENT_ROWS),
            rules: Table::own(RULES_WORDS / ENTRY_WORDS),
            gate: GateBooks::default(),
            prefixes: Table::own(PREFIX_BUCKETS / ENTRY_WORDS),
            denied: Table::own(DENIED_MAX),
        }
    }

    /// The gate's maps.
    ///
    /// # Panics
    /// When they have other sizes than they must.
    pub fn mapped(maps: Maps) -> Board {
        let Maps { entries, pots, clients, rules, books } = maps;
        assert_eq!(entries.len(), pots.len() * SLOTS_PER_SET, "a pot for each SET");
        assert_eq!((clients.len(), rules.len()), (CLIENT_ROWS, RULES_WORDS / ENTRY_WORDS));
        let [entries, pots, clients, rules] = [entries, pots, clients, rules].map(Table::Mapped);
        // Some datagrams come past the gate (another interface, long chains of headers): the worker looks at the list as well.
        Board { entries, pots, clients, rules, gate: books, prefixes: Table::own(0), denied: Table::own(DENIED_MAX) }
    }

    /// The entry of a slot, counted over all SETs.
    #[inline(always)]
    pub fn entry(&self, slot: usize) -> Entry<&Line> {
        Entry(&self.entries[slot])
    }

    /// The pot of a SET.
    #[inline(always)]
    pub fn pot(&self, set: usize) -> Pot<&Line> {
        Pot(&self.pots[set])
    }

    /// The limits that hold now.
    #[inline(always)]
    pub fn rules(&self) -> Rules<Pair<'_>> {
        Rules(Pair(&self.rules))
    }

    /// The numbers of clients.
    #[inline(always)]
    pub fn clients(&self) -> ClientTable<'_> {
        ClientTable(&self.clients)
    }

    /// Is there room for one more log-in from this part of the network?
    pub fn admit_prefix(&self, bucket: u32, now_ns: u64) -> bool {
        let limit = self.rules().prefix();
        let bucket = bucket as usize % PREFIX_BUCKETS;
        let Some(line) = self.prefixes.get(bucket / ENTRY_WORDS).filter(|_| limit.interval_ns > 0) else { return true };
        loop {
            let old = line.load(bucket % ENTRY_WORDS);
            match take_shared(old, limit.interval_ns, limit.burst_ns, now_ns) {
                Err(_) => return false,
                Ok(new) if line.swap(bucket % ENTRY_WORDS, old, new) => return true,
                Ok(_) => {}
            }
        }
    }

    /// Is an address on the deny list?
    pub fn denies(&self, from: &Origin) -> bool {
        let count = self.rules().denied() as usize;
        self.denied.iter().take(count).any(|line| prefix_of(line).contains(from))
    }

    /// Replaces the deny list; what is beyond [`DENIED_MAX`] is left out. Only the control plane may.
    pub fn deny(&self, prefixes: &[Prefix]) {
        // Nobody is denied by half a list: for a moment nobody is denied at all.
        self.rules().set_denied(0);
        for (line, prefix) in self.denied.iter().zip(prefixes) {
            let [low, high] = words_of(&prefix.ip);
            line.store(0, low);
            line.store(1, high);
            line.store(2, prefix.len.into());
        }
        self.rules().set_denied(prefixes.len().min(DENIED_MAX) as u64);
    }

    /// What ended at the gate for a client: the words of its row, summed over CPUs.
    pub fn gate_row(&self, client: u16) -> [u64; CLIENT_WORDS] {
        let mut sums = [0u64; CLIENT_WORDS];
        for cpu in self.gate.clients.chunks_exact(CLIENT_ROWS * ROW_LINES) {
            for (at, sum) in sums.iter_mut().enumerate() {
                let line = &cpu[usize::from(client) * ROW_LINES + at / ENTRY_WORDS];
                *sum = sum.wrapping_add(line.load(at % ENTRY_WORDS));
            }
        }
        sums
    }

    /// Shakes that the gate answered: when each bin began, in microseconds since 1970, and how many.
    pub fn gate_timeline(&self) -> impl Iterator<Item = (u64, u64)> {
        let words = self.gate.timeline.iter().flat_map(|line| (0..ENTRY_WORDS).map(move |at| line.load(at)));
        words.filter_map(timeline::read)
    }
}

fn prefix_of(line: &Line) -> Prefix {
    let ip = bytes_of([line.load(0), line.load(1)]);
    Prefix { ip, len: line.load(2) as u8 }
}

/// Two lines as one.
#[derive(Clone, Copy)]
pub struct Pair<'a>(&'a [Line]);

impl Words for Pair<'_> {
    #[inline(always)]
    fn load(&self, at: usize) -> u64 {
        (&self.0[at / ENTRY_WORDS]).load(at % ENTRY_WORDS)
    }

    #[inline(always)]
    fn store(&self, at: usize, value: u64) {
        (&self.0[at / ENTRY_WORDS]).store(at % ENTRY_WORDS, value);
    }

    #[inline(always)]
    fn swap(&self, at: usize, old: u64, new: u64) -> bool {
        (&self.0[at / ENTRY_WORDS]).swap(at % ENTRY_WORDS, old, new)
    }
}

/// The table of clients' addresses.
#[derive(Clone, Copy)]
pub struct ClientTable<'a>(&'a [Line]);

impl<'a> Clients for ClientTable<'a> {
    type Line = &'a Line;

    #[inline(always)]
    fn line(&self, row: usize) -> Option<&'a Line> {
        self.0.get(row)
    }
}
