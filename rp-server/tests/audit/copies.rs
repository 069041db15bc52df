//! What the tests of backups and archives stand on: commands and their words, and a ledger of many files.

use std::path::{Path, PathBuf};

use rp_server::ledger::{Mark, Opened, Projection, Time};
use serde_json::Value;

use crate::disk::{Folder, commit};
use crate::world::Line;

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Folder {
    fn ask(&self, words: &[&str]) -> Said {
        let output = self.run(words);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
        Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }

    pub fn done(&self, words: &[&str]) -> String {
        let said = self.ask(words);
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.error);
        said.out
    }

    pub fn refused(&self, words: &[&str], code: i32, why: &[&str]) {
        let said = self.ask(words);
        assert_eq!(said.code, Some(code), "{words:?}: {}", said.error);
        assert!(why.iter().all(|why| said.error.contains(why)), "{words:?}: not {why:?} in: {}", said.error);
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.path().with_extension(name)
    }

    pub fn backup(&self, to: &Path) -> String {
        self.done(&["ledger", "backup", "--to", text(to)])
    }

    pub fn archive(&self, to: &Path, keep: &str) -> String {
        self.done(&["ledger", "archive", "--to", text(to), "--keep", keep])
    }

    pub fn export(&self, data: &Path) -> String {
        self.done(&["ledger", "export", "--data", text(data)])
    }

    /// Postings of a ledger that is right.
    pub fn audited(&self, words: &[&str]) -> u64 {
        let out = self.done(&[&["audit", "--json"], words].concat());
        let found: Value = serde_json::from_str(&out).expect("it is JSON");
        found["figures"]["postings"].as_u64().expect("a number")
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name is text")
}

pub fn name(number: u32) -> String {
    format!("postings-{number:06}.db")
}

/// Gone with the test.
pub struct Beside(pub PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// Keeps what a server keeps: every SET as of now, and a mark.
pub fn project(opened: &mut Opened) {
    let (end, heads) = (opened.ledger.end(), opened.ledger.heads().clone());
    for (set, sequence) in heads.iter() {
        let projection = Projection { set, sequence, floor: end.position, bytes: vec![7; 500] };
        opened.keeper.keep(&projection).expect("there is room");
    }
    mark(opened);
}

pub fn mark(opened: &mut Opened) {
    let (end, heads) = (opened.ledger.end(), opened.ledger.heads().clone());
    let time = Time::now(7).expect("the machine tells its start");
    opened.keeper.mark(&Mark { end, heads, time }).expect("there is room");
}

pub fn close(opened: Opened) {
    drop((opened.keeper, opened.reader));
    opened.ledger.close().expect("there is room");
}

/// A ledger of many files, of which a start needs the last ones.
pub fn projected(lines: &[Line]) -> Folder {
    let folder = Folder::new();
    let mut opened = folder.open();
    let (first, rest) = lines.split_at(lines.len() - 1_500);
    commit(&mut opened, first);
    project(&mut opened);
    commit(&mut opened, rest);
    mark(&mut opened);
    close(opened);
    folder
}
