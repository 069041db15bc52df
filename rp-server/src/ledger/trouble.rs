//! What an error of SQLite's says of the system beneath it. A disk that fails, is full, or may not be touched is no damage, and
//! who is told of damage moves a sound ledger aside.

use std::io;
use std::path::Path;

use rp_net::disk;
use rusqlite::ffi;

/// What the system refused, by what was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// To open, or to make.
    Open,
    /// To read.
    Read,
    /// To write, or to bring to disk.
    Write,
    /// To lock: somebody else has it.
    Lock,
}

impl Trouble {
    /// What an error says; `None` when only what the file holds explains it.
    pub fn of(error: &rusqlite::Error) -> Option<Trouble> {
        let code = error.sqlite_error()?.extended_code;
        match code & 0xff {
            ffi::SQLITE_CANTOPEN => Some(Trouble::Open),
            ffi::SQLITE_FULL | ffi::SQLITE_READONLY | ffi::SQLITE_PERM => Some(Trouble::Write),
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => Some(Trouble::Lock),
            ffi::SQLITE_NOMEM => Some(Trouble::Read),
            ffi::SQLITE_IOERR => Trouble::of_disk(code),
            _ => None,
        }
    }

    fn of_disk(code: i32) -> Option<Trouble> {
        match code {
            // The file ends before it should, or its pages' own checksums are wrong.
            ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_DATA => None,
            // EIO is the second of them.
            ffi::SQLITE_IOERR_READ
            | ffi::SQLITE_IOERR_CORRUPTFS
            | ffi::SQLITE_IOERR_FSTAT
            | ffi::SQLITE_IOERR_ACCESS
            | ffi::SQLITE_IOERR_SEEK
            | ffi::SQLITE_IOERR_MMAP
            | ffi::SQLITE_IOERR_NOMEM => Some(Trouble::Read),
            _ => Some(Trouble::Write),
        }
    }

    /// What was tried.
    pub fn tried(self) -> &'static str {
        match self {
            Trouble::Open => "opening",
            Trouble::Read => "reading",
            Trouble::Write => "writing",
            Trouble::Lock => "locking",
        }
    }

    /// Why a file cannot be opened: SQLite keeps that to itself.
    pub fn asked_again(self, file: &Path) -> Option<io::Error> {
        if self == Trouble::Open { hindrance(file) } else { None }
    }
}

/// What was found in a file. In the midst of a statement SQLite tells a disk that fails a read by the word for damage.
pub fn found(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(code) if code.extended_code == ffi::SQLITE_CORRUPT => {
            format!("{error}, unless the disk fails to give what it holds: then the kernel's log says so")
        }
        _ => error.to_string(),
    }
}

/// An error in words.
pub fn words(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(code) => format!("{error} (SQLite's code {})", code.extended_code),
        None => error.to_string(),
    }
}

/// Why a file cannot be opened, or made. Not by trying: whoever closes a file gives up all locks that this process has on it, and
/// without SQLite's a log could be removed that others still write.
fn hindrance(file: &Path) -> Option<io::Error> {
    match std::fs::metadata(file) {
        Ok(found) if found.is_dir() => Some(io::Error::from_raw_os_error(libc::EISDIR)),
        Ok(_) => disk::may_write(file).err(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk::may_write(file.parent()?).err(),
        Err(error) => Some(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, code: i32, expected: Option<Trouble>) {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        assert_eq!(Trouble::of(&error), expected, "{name}");
    }

    #[test]
    fn what_the_system_refuses_is_told_from_what_a_file_holds() {
        check("EIO of a read", ffi::SQLITE_IOERR_CORRUPTFS, Some(Trouble::Read));
        check("another error of a read", ffi::SQLITE_IOERR_READ, Some(Trouble::Read));
        check("EIO of a write", ffi::SQLITE_IOERR_WRITE, Some(Trouble::Write));
        check("EIO of a sync", ffi::SQLITE_IOERR_FSYNC, Some(Trouble::Write));
        check("a folder that is not synced", ffi::SQLITE_IOERR_DIR_FSYNC, Some(Trouble::Write));
        check("a log's index without room", ffi::SQLITE_IOERR_SHMSIZE, Some(Trouble::Write));
        check("ENOSPC", ffi::SQLITE_FULL, Some(Trouble::Write));
        check("EROFS", ffi::SQLITE_READONLY, Some(Trouble::Write));
        check("EACCES", ffi::SQLITE_CANTOPEN, Some(Trouble::Open));
        check("a shell that writes", ffi::SQLITE_BUSY, Some(Trouble::Lock));
        check("a file that was cut", ffi::SQLITE_IOERR_SHORT_READ, None);
        check("wrong bytes", ffi::SQLITE_CORRUPT, None);
        check("no SQLite file", ffi::SQLITE_NOTADB, None);
        check("no such table", ffi::SQLITE_ERROR, None);
    }
}
