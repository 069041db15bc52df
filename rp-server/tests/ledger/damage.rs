//! Damage of every kind: the ledger either opens as it was, or says what was found, where, and what to do. It never holds
//! anything else, and never panics.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rp_server::ledger::{Heads, Place, Projection, Refusal, sqlite};

use crate::house::{self, Folder, Line, Taken, commit, plain, read};

/// A ledger to be damaged, and what it holds.
struct Whole {
    folder: Folder,
    heads: Heads,
    lines: Vec<Line>,
    projections: Vec<Projection>,
}

/// How the server ended that left it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    /// In order.
    Closed,
    /// By kill -9: logs are as they were.
    Killed,
}

/// Some files of postings, of which `Killed` leaves the last in its log; marked at the end. Projections of half.
fn whole(left: Left) -> Whole {
    let folder = Folder::new();
    let mut heads = Heads::default();
    let mut projections = Vec::new();
    let mut opened = sqlite::open(&folder.place(), &mut ()).expect("an empty folder");
    for seed in 0..70 {
        commit(&mut opened, &plain(&mut heads, 60, seed));
        if seed == 30 {
            let of = |(set, sequence)| Projection { set, sequence, floor: 31 * 60, bytes: vec![set as u8; 700] };
            projections = heads.iter().map(of).collect();
            projections.iter().for_each(|projection| opened.keeper.keep(projection).expect("there is room"));
        }
    }
    house::mark(&mut opened);
    let lines = read(&mut opened, 1);
    assert!(folder.files().len() > 6, "{:?}", folder.files());
    let folder = match left {
        Left::Killed => folder.copy(),
        Left::Closed => {
            drop((opened.keeper, opened.reader));
            opened.ledger.close().expect("there is room");
            assert!(!folder.files().contains(&"state.db-wal".to_owned()), "{:?}", folder.files());
            folder
        }
    };
    Whole { folder, heads, lines, projections }
}

impl Whole {
    /// Opens a damaged copy; says whether it was refused. Anything between is a failure.
    fn refused(&self, copy: &Folder, what: &str) -> Option<String> {
        let mut taken = Taken::default();
        let before = copy.bytes();
        match sqlite::open(&copy.place(), &mut taken) {
            Ok(opened) => {
                let kept = |projection| self.projections.contains(projection);
                assert!(taken.projections.iter().all(kept), "{what}: it opens with other projections");
                assert!(taken.lines == self.behind(&taken.projections), "{what}: it opens with other postings");
                assert_eq!(opened.ledger.heads(), &self.heads, "{what}: it opens with other heads");
                None
            }
            Err(error) => {
                let said = format!("{error:#}");
                match error.downcast_ref::<Refusal>() {
                    Some(Refusal::Damaged { .. }) => {
                        assert!(
                            said.contains("is damaged") && said.contains("restore it from a copy"),
                            "{what}: {said}"
                        );
                    }
                    Some(Refusal::Newer { .. } | Refusal::Unwritable { .. }) => {}
                    _ => panic!("{what}: {said}"),
                }
                assert!(copy.bytes() == before, "{what}: it was changed");
                Some(said)
            }
        }
    }

    /// The postings that these projections lack.
    fn behind(&self, projections: &[Projection]) -> Vec<Line> {
        let mut held = Heads::default();
        projections.iter().for_each(|of| held.put(of.set, of.sequence).expect("a SET"));
        self.lines.iter().filter(|line| !held.hold(line.set, line.sequence)).cloned().collect()
    }

    fn must_be_refused(&self, copy: &Folder, what: &str, words: &str) {
        match self.refused(copy, what) {
            None => panic!("{what}: it opens"),
            Some(said) => assert!(said.contains(words), "{what}: {said}"),
        }
    }
}

impl Folder {
    /// What counts of the files: not the lock, nor the index of a log, which is made anew, nor an empty log.
    fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        let counts = |name: &String| name != "lock" && !name.ends_with("-shm");
        let read = |name: String| (fs::read(self.file(&name)).expect("it is there"), name);
        let files = self.files().into_iter().filter(counts).map(read).filter(|(bytes, _)| !bytes.is_empty());
        files.map(|(bytes, name)| (name, bytes)).collect()
    }
}

/// Tries at each file; `RP_TRIALS=1000` for a night.
fn trials() -> usize {
    std::env::var("RP_TRIALS").map_or(12, |trials| trials.parse().expect("RP_TRIALS is a number"))
}

/// Numbers without an order, the same each time.
fn random(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |i: u64| {
        let word = (seed << 32 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (word ^ word >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
    })
}

/// How far a file's bytes mean something: the zeros behind a log do not.
fn meant(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("it is there");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

fn flip(path: &Path, at: u64, mask: u8) {
    let mut bytes = fs::read(path).expect("it is there");
    bytes[at as usize] ^= mask;
    fs::write(path, bytes).expect("there is room");
}

/// Flips bytes of every file, one a copy; returns the files in which one was noticed.
fn flip_bytes(left: Left) -> BTreeSet<String> {
    let whole = whole(left);
    let mut noticed = BTreeSet::new();
    for (number, name) in whole.folder.files().into_iter().enumerate() {
        let meant = meant(&whole.folder.file(&name));
        if meant == 0 || name == "lock" {
            continue;
        }
        for word in random(number as u64).take(trials()) {
            let copy = whole.folder.copy();
            // Every other one hits the first page, where every byte means something.
            let at = (word >> 12) % if word & 1 == 0 { meant.min(4096) } else { meant };
            let mask = 1 << (word >> 1 & 7);
            flip(&copy.file(&name), at, mask);
            if whole.refused(&copy, &format!("{left:?}: byte {at} of {name} ^ {mask:#x}")).is_some() {
                noticed.insert(name.clone());
            }
        }
    }
    noticed
}

#[test]
fn a_flipped_bit_of_a_closed_ledger_changes_nothing_or_is_refused() {
    let noticed = flip_bytes(Left::Closed);
    // Which of the dozen files a few random bytes show in is chance; that they show in most is not.
    assert!(noticed.len() >= 4, "{noticed:?}");
}

#[test]
fn a_flipped_bit_of_a_killed_ledger_changes_nothing_or_is_refused() {
    let noticed = flip_bytes(Left::Killed);
    assert!(noticed.contains("state.db-wal") && noticed.iter().any(|name| name.ends_with("db-wal")), "{noticed:?}");
}

#[test]
fn a_cut_file_changes_nothing_or_is_refused() {
    for left in [Left::Closed, Left::Killed] {
        let whole = whole(left);
        for (number, name) in whole.folder.files().into_iter().enumerate() {
            let meant = meant(&whole.folder.file(&name));
            let page = |word: u64| word % (meant + 1) / 4096 * 4096;
            let lengths = [0].into_iter().chain(
                random(number as u64)
                    .take(20)
                    .map(|word| word >> 12)
                    .map(|word| if word & 1 == 0 { page(word) } else { word % (meant + 1) }),
            );
            for length in lengths {
                let copy = whole.folder.copy();
                let file = fs::OpenOptions::new().write(true).open(copy.file(&name)).expect("it is there");
                file.set_len(length).expect("it can be cut");
                whole.refused(&copy, &format!("{left:?}: {name} cut to {length}"));
            }
        }
    }
}

#[test]
fn a_missing_file_is_refused_and_named() {
    for left in [Left::Closed, Left::Killed] {
        let whole = whole(left);
        let files = whole.folder.files();
        let last = files.iter().rfind(|name| name.ends_with(".db") && name.starts_with("postings")).expect("some");
        for name in &files {
            let copy = whole.folder.copy();
            fs::remove_file(copy.file(name)).expect("it is there");
            let what = format!("{left:?}: without {name}");
            if name == "state.db" {
                whole.must_be_refused(&copy, &what, "state.db: it is missing");
            } else if name.ends_with(".db") && name > &"postings-000001.db".to_owned() && name < last {
                // Its log, where one is left, is no file's any more.
                whole.must_be_refused(&copy, &what, name);
            } else {
                whole.refused(&copy, &what);
            }
        }
    }
}

#[test]
fn a_missing_log_is_noticed() {
    let whole = whole(Left::Killed);
    let logs = whole.folder.files().into_iter().filter(|name| name.starts_with("postings") && name.ends_with("-wal"));
    let mut refused = 0;
    for name in logs {
        let copy = whole.folder.copy();
        fs::remove_file(copy.file(&name)).expect("it is there");
        refused += usize::from(whole.refused(&copy, &format!("without {name}")).is_some());
    }
    assert!(refused > 0, "the last log holds postings that are nowhere else");
}

/// SQLite alone ends a log silently at its first wrong frame. No mark is written here, so only the log itself tells.
#[test]
fn a_flipped_bit_amid_a_log_is_noticed_without_a_mark() {
    let folder = Folder::new();
    let place = Place { segment_bytes: 1 << 20, ..folder.place() };
    let mut opened = sqlite::open(&place, &mut ()).expect("an empty folder");
    let mut heads = Heads::default();
    let log = folder.file("postings-000001.db-wal");
    let mut ends = Vec::new();
    for seed in 0..40 {
        commit(&mut opened, &plain(&mut heads, 60, seed));
        ends.push(meant(&log));
    }
    let killed = folder.copy();
    for (number, word) in random(1).take(6 * trials()).enumerate() {
        let copy = killed.copy();
        // The header of the log, or anything in front of the last two commits.
        let at = if number < 8 { number as u64 * 4 } else { (word >> 12) % ends[37] };
        flip(&copy.file("postings-000001.db-wal"), at, 1 << (word & 7));
        let mut taken = Taken::default();
        match sqlite::open(&copy.place(), &mut taken) {
            Ok(_) => assert_eq!(taken.lines.len(), 40 * 60, "byte {at}"),
            Err(error) => assert!(error.to_string().contains("is damaged"), "{error:#}"),
        }
    }
}

#[test]
fn an_older_copy_of_a_file_is_refused_or_changes_nothing() {
    for left in [Left::Closed, Left::Killed] {
        let whole = whole(left);
        let older = whole.folder.copy();
        let mut taken = Taken::default();
        let mut opened = sqlite::open(&whole.folder.place(), &mut taken).expect("it is whole");
        let mut heads = whole.heads.clone();
        for seed in 0..70 {
            commit(&mut opened, &plain(&mut heads, 60, 1000 + seed));
        }
        house::mark(&mut opened);
        let lines = read(&mut opened, 1);
        drop((opened.keeper, opened.reader));
        opened.ledger.close().expect("there is room");
        let newer = Whole { heads, lines, ..whole };
        let names: Vec<String> = older.files().into_iter().filter(|name| name.ends_with(".db")).collect();
        let last = names.iter().rfind(|name| name.starts_with("postings")).expect("some").clone();
        for name in names {
            let copy = newer.folder.copy();
            for ending in ["", "-wal"] {
                let file = format!("{name}{ending}");
                let _none = fs::remove_file(copy.file(&file));
                let _none = fs::copy(older.file(&file), copy.file(&file));
            }
            let what = format!("{left:?}: an older {name}");
            let said = newer.refused(&copy, &what);
            if name == "state.db" {
                assert!(said.is_some_and(|said| said.contains("older than the postings")), "{what}");
            } else if name == last {
                assert!(said.is_some(), "{what}: it opens, though postings are gone");
            }
        }
    }
}

#[test]
fn files_under_each_others_names_are_refused() {
    let whole = whole(Left::Closed);
    let copy = whole.folder.copy();
    fs::copy(whole.folder.file("postings-000002.db"), copy.file("postings-000003.db")).expect("both are there");
    whole.must_be_refused(&copy, "2 as 3", "it is segment 2, under another name");
    let other = self::whole(Left::Closed);
    for (name, words) in [("postings-000002.db", "it belongs to another ledger"), ("state.db", "another ledger")] {
        let copy = whole.folder.copy();
        fs::copy(other.folder.file(name), copy.file(name)).expect("both are there");
        whole.must_be_refused(&copy, &format!("{name} of another"), words);
    }
    let copy = whole.folder.copy();
    fs::copy(whole.folder.file("state.db"), copy.file("postings-000003.db")).expect("both are there");
    whole.must_be_refused(&copy, "state as postings", "a file of another kind");
}

#[test]
fn a_newer_version_is_refused() {
    let whole = whole(Left::Closed);
    for name in ["state.db", "postings-000002.db"] {
        let copy = whole.folder.copy();
        let file = rusqlite::Connection::open(copy.file(name)).expect("it is there");
        file.pragma_update(None, "user_version", 9).expect("there is room");
        drop(file);
        whole.must_be_refused(&copy, name, "has version 9, written by a newer rp-server");
    }
}

#[test]
fn a_second_server_is_refused_and_the_first_is_named() {
    let folder = Folder::new();
    let _first = sqlite::open(&folder.place(), &mut ()).expect("an empty folder");
    let refusal = sqlite::open(&folder.place(), &mut ()).err().expect("it is held").to_string();
    assert!(
        refusal.contains(&format!("another rp-server (process {}) has the ledger", std::process::id())),
        "{refusal}"
    );
}
