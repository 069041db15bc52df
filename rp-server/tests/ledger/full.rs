//! A disk that is full, and one that may only be read: a file system of some megabytes, mounted for the test.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rp_server::ledger::backup::backup;
use rp_server::ledger::{Heads, Outcome, Place, sqlite};
use rusqlite::Connection;

use crate::house::{Folder, Line, Taken, commit, plain, read};

/// A file system in memory, unmounted after the test.
struct Disk(Folder);

impl Disk {
    fn new(kib: u64) -> Disk {
        let disk = Disk(Folder::new());
        std::fs::create_dir_all(disk.path()).expect("a folder");
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={kib}k"), "red-packet"]);
        disk
    }

    fn path(&self) -> PathBuf {
        self.0.place().dir
    }

    fn mount(&self, words: &[&str]) {
        run(Command::new("mount").args(words).arg(self.path()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.path()));
    }
}

/// A file that leaves no more room than it should, gone with this.
struct Ballast(PathBuf);

impl Ballast {
    fn all_but(disk: &Disk, kib: u64) -> Ballast {
        let path = disk.path().join("ballast");
        let mut file = File::create(&path).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
        let len = file.metadata().expect("it is open").len();
        file.set_len(len - (kib << 10)).expect("a file can be cut");
        Ballast(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it is there");
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn place(dir: &Path) -> Place {
    Place { segment_bytes: 1 << 20, ..Place::new(dir) }
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    for kib in (600..6000).step_by(300) {
        let disk = Disk::new(kib);
        let mut expected = Vec::new();
        if let Some(said) = fill(&disk.path(), &mut expected) {
            println!("{kib} KiB: {} postings, then {said}", expected.len());
        }
        disk.mount(&["-o", "remount,size=64m"]);
        let mut taken = Taken::default();
        let mut opened = sqlite::open(&place(&disk.path()), &mut taken).unwrap_or_else(|error| panic!("{error:#}"));
        assert!(taken.lines == expected, "{kib} KiB: {} of {} postings", taken.lines.len(), expected.len());
        let mut heads = opened.ledger.heads().clone();
        let position = commit(&mut opened, &plain(&mut heads, 50, 1 << 30));
        assert_eq!(position, expected.len() as u64 + 50, "it goes on");
    }
}

/// Commits until the disk is full; says what was said then. `expected` gets what must be there afterwards.
fn fill(dir: &Path, expected: &mut Vec<Line>) -> Option<String> {
    // A disk that holds not even an empty ledger refuses it.
    let mut opened = match sqlite::open(&place(dir), &mut ()) {
        Ok(opened) => opened,
        Err(error) => {
            return Some(error.to_string()).inspect(|said| assert!(said.contains("cannot be written"), "{said}"));
        }
    };
    let mut heads = Heads::default();
    for seed in 0.. {
        let group = plain(&mut heads, 50, seed);
        let first = expected.len() as u64 + 1;
        let lines = (first..).zip(rp_core::posting::each(&group)).map(|(at, posting)| Line::of(at, &posting));
        match opened.ledger.commit(&group) {
            Outcome::Durable { position } => {
                expected.extend(lines);
                assert_eq!(position, expected.len() as u64);
            }
            Outcome::Failed(why) => {
                let again = opened.ledger.commit(&group);
                assert!(matches!(again, Outcome::Failed(again) if again.contains(&why)), "nothing is tried again");
                assert_eq!(opened.ledger.end().position, expected.len() as u64);
                return Some(why);
            }
            // The log has the commit; its index had no room. Opening makes the index anew.
            Outcome::Unknown(why) => {
                expected.extend(lines);
                return Some(why);
            }
        }
    }
    None
}

#[test]
#[ignore = "needs root"]
fn a_start_that_cannot_bring_a_log_in_is_refused_and_loses_nothing() {
    for left_kib in [0, 100, 200] {
        let disk = Disk::new(8000);
        let mut opened = sqlite::open(&place(&disk.path()), &mut ()).expect("an empty folder");
        let mut heads = Heads::default();
        for seed in 0..20 {
            commit(&mut opened, &plain(&mut heads, 200, seed));
        }
        let expected = read(&mut opened, 1);
        drop(opened);
        let ballast = Ballast::all_but(&disk, left_kib);
        let refusal = sqlite::open(&place(&disk.path()), &mut ()).err().expect("the log is longer").to_string();
        assert!(refusal.contains("cannot be written") && refusal.contains("room"), "{left_kib} KiB left: {refusal}");
        drop(ballast);
        let mut taken = Taken::default();
        let mut opened = sqlite::open(&place(&disk.path()), &mut taken).unwrap_or_else(|error| panic!("{error:#}"));
        assert!(taken.lines == expected, "{left_kib} KiB left: {} of {}", taken.lines.len(), expected.len());
        commit(&mut opened, &plain(&mut heads, 50, 1 << 30));
    }
}

#[test]
#[ignore = "needs root"]
fn no_index_takes_the_room_that_commits_need() {
    let disk = Disk::new(8000);
    let place = Place { segment_bytes: 200 << 10, ..Place::new(&disk.path()) };
    let says = |sql: &str| {
        let file = Connection::open(disk.path().join(Place::segment_name(1))).expect("it is there");
        file.query_one(sql, [], |row| row.get::<_, bool>(0)).unwrap_or_default()
    };
    let is_closed = || says("SELECT closed FROM segment");
    let has_indices = || says("SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'index'");
    // Less than eight files have, and enough for those that are written here, also while none is brought in.
    let ballast = Ballast::all_but(&disk, 1550);
    let mut opened = sqlite::open(&place, &mut ()).expect("there is room");
    let mut heads = Heads::default();
    for seed in 0.. {
        commit(&mut opened, &plain(&mut heads, 100, seed));
        if is_closed() {
            break;
        }
    }
    // So long nothing else is to be done that they would be begun.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!has_indices());
    commit(&mut opened, &plain(&mut heads, 100, 1 << 30));
    drop(ballast);
    until("the closed file has its indices", has_indices);
}

/// Waits for what the ledger's second thread does: some seconds, on a busy machine more.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "not in a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_leaves_the_backup_before() {
    let (source, disk) = (Folder::new(), Disk::new(2500));
    let mut opened = sqlite::open(&source.place(), &mut ()).expect("an empty folder");
    let (mut heads, mut expected, mut copied) = (Heads::default(), Vec::new(), 0);
    let said = (0..).find_map(|seed| {
        let group = plain(&mut heads, 400, seed);
        let position = commit(&mut opened, &group);
        let lines = (position - 399..).zip(rp_core::posting::each(&group)).map(|(at, posting)| Line::of(at, &posting));
        expected.extend(lines);
        match backup(&source.place().dir, &disk.path(), &mut |_, _| {}) {
            Ok(made) => copied = made.position as usize,
            Err(error) => return Some(format!("{error:#}")),
        }
        None
    });
    let said = said.expect("a disk is full some day");
    assert!(
        (said.contains("full") || said.contains("space")) && copied > 400 && copied < expected.len(),
        "{copied}: {said}"
    );
    assert!(!disk.path().join("backup.part").exists(), "what was begun is gone");
    disk.mount(&["-o", "remount,size=64m"]);
    let mut taken = Taken::default();
    drop(sqlite::open(&place(&disk.path()), &mut taken).unwrap_or_else(|error| panic!("{error:#}")));
    assert!(taken.lines == expected[..copied]);
}

#[test]
#[ignore = "needs root"]
fn a_folder_that_may_only_be_read_is_refused() {
    let disk = Disk::new(8000);
    let mut opened = sqlite::open(&place(&disk.path()), &mut ()).expect("an empty folder");
    commit(&mut opened, &plain(&mut Heads::default(), 50, 1));
    drop(opened);
    disk.mount(&["-o", "remount,ro"]);
    let refusal = sqlite::open(&place(&disk.path()), &mut ()).err().expect("nothing can be written").to_string();
    assert!(refusal.contains("cannot be written") && refusal.contains("--data"), "{refusal}");
}
