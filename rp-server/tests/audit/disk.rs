//! The commands, by real files: what is right on disk, beside a server that writes, and what is not.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rp_core::posting::{Act, POSTING_MAX};
use rp_server::ledger::{Opened, Outcome, Place, Refusal, sqlite};
use rusqlite::Connection;
use serde_json::Value;

use crate::story::Story;
use crate::world::{Line, SETS, World};

const SERVER: &str = env!("CARGO_BIN_EXE_rp-server");
/// Bytes of a file of postings at which the next one is begun: several for a short history.
const SEGMENT_BYTES: u64 = 200 << 10;
/// Postings of a commit.
const GROUP: usize = 64;

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// The folder of a ledger; gone with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("rp-audit-{}-{number}", std::process::id())))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A ledger with as many SETs and as short files in this folder.
    pub fn place_at(&self, dir: &Path) -> Place {
        Place { sets: SETS, segment_bytes: SEGMENT_BYTES, is_inline: true, ..Place::new(dir) }
    }

    pub fn open_at(&self, dir: &Path) -> Opened {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            match sqlite::open(&self.place_at(dir), &mut ()) {
                Ok(opened) => return opened,
                // A program that another test starts has this process's locks for a moment.
                Err(error) if Instant::now() < until && matches!(error.downcast_ref(), Some(Refusal::Held { .. })) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error:#}"),
            }
        }
    }

    pub fn open(&self) -> Opened {
        self.open_at(&self.0)
    }

    /// A file beside the ledger's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(SERVER);
        command.args(words).env("RP_DATA", &self.0);
        command.output().expect("the server was built for this test")
    }

    /// The exit code and what was said.
    fn audit(&self) -> (Option<i32>, Value, String) {
        let output = self.run(&["audit", "--json"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
    }

    fn rows(&self, words: &[&str]) -> String {
        let output = self.run(&[&["ledger", "export"], words].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("rows are text")
    }

    /// Changes a file behind the ledger's back.
    pub fn change(&self, sql: &str) {
        let file = Connection::open(self.0.join("postings-000001.db")).expect("it is there");
        assert_eq!(file.execute(sql, []).expect("it can be written"), 1, "{sql}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

pub fn commit(opened: &mut Opened, lines: &[Line]) {
    for lines in lines.chunks(GROUP) {
        let mut group = Vec::new();
        for line in lines {
            let mut bytes = [0; POSTING_MAX];
            let len = line.posting().put(&mut bytes);
            group.extend(&bytes[..len]);
        }
        assert!(matches!(opened.ledger.commit(&group), Outcome::Durable { .. }));
    }
}

pub fn written(lines: &[Line]) -> Folder {
    let folder = Folder::new();
    let mut opened = folder.open();
    commit(&mut opened, lines);
    opened.ledger.close().expect("the disk has room");
    folder
}

pub fn files(folder: &Path) -> usize {
    let names =
        std::fs::read_dir(folder).expect("the ledger is there").map(|entry| entry.expect("an entry").file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("postings-") && name.to_string_lossy().ends_with(".db"))
        .count()
}

#[test]
fn a_ledger_on_disk_is_audited_and_exported() {
    let world = World::play(5, 6_000);
    let folder = written(&world.lines);
    assert!(files(&folder.0) > 1, "one file");
    let (code, found, said) = folder.audit();
    assert_eq!((code, &found["right"]), (Some(0), &Value::Bool(true)), "{said}");
    assert_eq!(found["figures"]["postings"], world.lines.len());
    assert_eq!(found["figures"]["issued_fen"], world.issued);
    let output = folder.run(&["audit"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("issued    {} fen", world.issued)) && said.contains("all is right"), "{said}");

    let rows = folder.rows(&[]);
    assert_eq!(rows.matches("\r\n").count(), world.lines.len() + 1);
    let minted: u64 = rows.lines().filter(|row| row.contains(",minted,")).map(column_fen).sum();
    let lines = world.lines.iter().filter(|line| line.head.act == Act::Minted);
    assert_eq!(minted, lines.map(|line| line.head.fen).sum::<u64>());
    let from = world.lines.len() - 9;
    let last = folder.rows(&["--from", &from.to_string()]);
    assert_eq!(last.lines().count(), 11);
    assert!(rows.ends_with(last.split_once("\r\n").expect("a header").1));
    let path = folder.0.join("rows.csv");
    folder.rows(&["--output", path.to_str().expect("a temporary folder's name is text")]);
    assert_eq!(std::fs::read_to_string(path).expect("it was written"), rows);
}

#[test]
fn packets_are_told_as_the_history_made_them() {
    let world = World::play(7, 6_000);
    let folder = written(&world.lines);
    let json = |words: &[&str]| -> Value {
        let output = folder.run(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    };
    let told = json(&["packets", "--json"]);
    let (_, audited, _) = folder.audit();
    for sum in ["made", "refunded", "open"] {
        assert_eq!(told[sum], audited["figures"][sum], "{sum}");
    }
    assert_eq!(told["shares"]["count"], audited["figures"]["shares"]);
    let open: u64 = world.packets.values().map(|packet| packet.left).sum();
    let by_set = told["open_by_set"].as_object().expect("by SET").values();
    assert_eq!(by_set.map(|sum| sum["fen"].as_u64().expect("a sum")).sum::<u64>(), open);
    let mut lucky = 0;
    for (id, packet) in world.packets.iter().take(40) {
        let told = json(&["packets", "show", &id.to_string(), "--json"]);
        assert_eq!((&told["sender"], &told["fen"]), (&packet.sender.into(), &packet.fen.into()));
        let shares = told["taken"].as_array().expect("a list");
        let taken = shares.iter().map(|share| (share["user"].as_u64(), share["fen"].as_u64()));
        assert!(taken.eq(packet.takers.iter().map(|(user, fen)| (Some(*user), Some(*fen)))), "{told}");
        assert_eq!(told["refunded_fen"].as_u64() > Some(0), packet.is_refunded, "{told}");
        lucky += shares.iter().filter(|share| share["best_luck"] == true).count();
        let said = folder.run(&["packets", "show", &id.to_string()]).stdout;
        assert!(String::from_utf8_lossy(&said).starts_with(&format!("packet {id} of SET ")));
    }
    assert!(lucky > 0, "of the first forty packets some are finished");
    let none = folder.run(&["packets", "show", "1"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no packet 1"));
}

/// The column `fen` of a row in which nothing before it is quoted.
fn column_fen(row: &str) -> u64 {
    row.split(',').nth(8).and_then(|fen| fen.parse().ok()).expect("a row has its fen")
}

#[test]
fn a_live_ledger_is_audited_beside_its_writer() {
    let world = World::play(6, 8_000);
    let folder = Folder::new();
    let mut opened = folder.open();
    let (first, rest) = world.lines.split_at(world.lines.len() / 4);
    commit(&mut opened, first);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for lines in rest.chunks(GROUP) {
                commit(&mut opened, lines);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let mut seen = first.len() as u64;
        while !writer.is_finished() {
            let (code, found, said) = folder.audit();
            assert_eq!(code, Some(0), "{said}");
            let postings = found["figures"]["postings"].as_u64().expect("a number");
            assert!(postings >= seen, "{postings} after {seen}");
            seen = postings;
        }
        writer.join().expect("all is written");
    });
    let (code, found, said) = folder.audit();
    assert_eq!((code, &found["figures"]["postings"]), (Some(0), &Value::from(world.lines.len())), "{said}");
}

#[test]
fn a_broken_rule_and_a_damaged_file_end_with_1_and_no_ledger_with_2() {
    let mut story = Story::tell();
    let at = story.place(Act::Refunded, 0);
    story.world.lines[at].head.fen -= 1;
    let (code, found, said) = written(&story.world.lines).audit();
    assert_eq!((code, &found["right"]), (Some(1), &Value::Bool(false)), "{said}");
    assert_eq!((&found["fault"]["rule"], &found["fault"]["position"]), (&Value::from("Refund"), &Value::from(at + 1)));
    assert!(said.contains(&format!("position {}, SET 0", at + 1)), "{said}");

    let story = Story::tell();
    let folder = written(&story.world.lines);
    folder.change("UPDATE posting SET fen = fen + 1 WHERE position = 20");
    let (code, found, said) = folder.audit();
    assert_eq!((code, &found["fault"]["rule"]), (Some(1), &Value::from("Stored")), "{said}");
    assert!(said.contains("right up to position 19") && said.contains("postings-000001.db"), "{said}");

    let (code, _, said) = Folder::new().audit();
    assert!(code == Some(2) && said.contains("there is no ledger in"), "{code:?} {said}");
    let output = Folder::new().run(&["ledger", "export"]);
    assert_eq!(output.status.code(), Some(1));
}
