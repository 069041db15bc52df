//! What the tests of the ledger stand on: folders that go, postings of all kinds, and a ledger read back whole.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use proptest::prelude::*;
use rp_core::posting::{Act, BANK, POSTING_MAX, Posting, Source, TAIL_MAX};
use rp_server::ledger::{Heads, Mark, Opened, Outcome, Place, Projection, Restore, Time};

/// A folder of its own, gone after the test.
pub struct Folder(PathBuf);

static FOLDERS: AtomicU32 = AtomicU32::new(0);

impl Folder {
    pub fn new() -> Folder {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        // Nothing here depends on a disk, and thousands of openings wait for one.
        let memory = Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir());
        let dir = memory.unwrap_or_else(std::env::temp_dir);
        let dir = dir.join(format!("rp-ledger-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder in the temporary one");
        Folder(dir)
    }

    /// Where a ledger is, whose files are closed after some kilobytes, and which no thread changes between two commits.
    pub fn place(&self) -> Place {
        Place { segment_bytes: 200 << 10, is_inline: true, ..Place::new(&self.0.join("ledger")) }
    }

    /// A copy of the ledger's folder, as a crash at this moment would leave it.
    pub fn copy(&self) -> Folder {
        let copy = Folder::new();
        let (from, to) = (self.place().dir, copy.place().dir);
        std::fs::create_dir_all(&to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("the ledger is there") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
        }
        copy
    }

    /// The ledger's files, by name, in order.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.place().dir).expect("the ledger is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.place().dir.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// SETs that the tests write for.
pub const SETS: [u16; 5] = [0, 1, 77, 909, BANK];

/// A posting that was read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub position: u64,
    pub set: u16,
    pub sequence: u64,
    pub bytes: Vec<u8>,
}

impl Line {
    pub fn of(position: u64, posting: &Posting<'_>) -> Line {
        Line { position, set: posting.set, sequence: posting.sequence, bytes: bytes(posting) }
    }
}

pub fn bytes(posting: &Posting<'_>) -> Vec<u8> {
    let mut out = [0; POSTING_MAX];
    let len = posting.put(&mut out);
    out[..len].to_vec()
}

/// Takes what a ledger holds.
#[derive(Default)]
pub struct Taken {
    pub projections: Vec<Projection>,
    pub lines: Vec<Line>,
}

impl Restore for Taken {
    fn projection(&mut self, projection: &Projection) -> Result<()> {
        self.projections.push(projection.clone());
        Ok(())
    }

    fn posting(&mut self, position: u64, posting: &Posting<'_>) -> Result<()> {
        self.lines.push(Line::of(position, posting));
        Ok(())
    }
}

/// Everything from `from` on.
pub fn read(opened: &mut Opened, from: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    let next = opened.reader.read(from, &mut |position, posting| {
        lines.push(Line::of(position, posting));
        Ok(())
    });
    assert_eq!(next.expect("it is sound"), from.max(1) + lines.len() as u64);
    lines
}

/// What a posting says besides its SET and sequence.
#[derive(Clone, Debug)]
pub struct Words {
    set: usize,
    act: usize,
    words: [u64; 7],
    source: u64,
    tail: Vec<u8>,
}

pub fn words() -> impl Strategy<Value = Words> {
    let word = prop_oneof![Just(0), Just(u64::MAX), 0..1000u64, any::<u64>()];
    let tail = prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(any::<u8>(), 1..60),
        1 => prop::collection::vec(any::<u8>(), TAIL_MAX),
    ];
    let words = prop::array::uniform7(word);
    (0..SETS.len(), 0..Act::ALL.len(), words, any::<u64>(), tail).prop_map(|(set, act, words, source, tail)| Words {
        set,
        act,
        words,
        source,
        tail,
    })
}

/// A group of them, each following its SET's last in `heads`.
pub fn group(heads: &mut Heads, of: &[Words]) -> Vec<u8> {
    let mut group = Vec::new();
    for words in of {
        let (set, [debit, credit, fen, about, request, hash, at_ms]) = (SETS[words.set], words.words);
        let (sequence, act) = (heads.of(set) + 1, Act::ALL[words.act]);
        heads.follow(set, sequence).expect("it follows");
        let (source, tail) = (Source(words.source), &words.tail[..]);
        let posting = Posting { set, sequence, act, debit, credit, fen, about, request, hash, at_ms, source, tail };
        group.extend(bytes(&posting));
    }
    group
}

/// A group of `count` postings that move money about, the `seed` making them differ.
pub fn plain(heads: &mut Heads, count: usize, seed: u64) -> Vec<u8> {
    let of: Vec<Words> = (0..count as u64)
        .map(|i| {
            let random = (seed << 20 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Words {
                set: (random >> 60) as usize % SETS.len(),
                act: (random >> 50) as usize % Act::ALL.len(),
                words: [random % 50, random % 70, random % 1000, random, i + 1, !random, 1_700_000_000_000 + i],
                source: random & 7,
                tail: vec![random as u8; if random.is_multiple_of(5) { 20 } else { 0 }],
            }
        })
        .collect();
    group(heads, &of)
}

/// The outcome of a commit that must succeed.
pub fn commit(opened: &mut Opened, group: &[u8]) -> u64 {
    match opened.ledger.commit(group) {
        Outcome::Durable { position } => position,
        other => panic!("{other:?}"),
    }
}

/// Marks how far it is.
pub fn mark(opened: &mut Opened) {
    let mark = Mark {
        end: opened.ledger.end(),
        heads: opened.ledger.heads().clone(),
        time: Time::now(7).expect("the machine tells its start"),
    };
    opened.keeper.mark(&mark).expect("there is room");
}
