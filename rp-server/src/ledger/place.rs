//! Where a ledger is: its folder, and the way to its files, which are all SQLite's but the lock.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Error, Result};
use rp_core::limits::SETS_DEFAULT;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::finder::Reach;
use super::log;
use super::refusal::Refusal;

/// A segment is closed when its write-ahead log has about this size: as long as a checkpoint takes, the next one must hold.
const SEGMENT_BYTES: u64 = 32 << 20;
/// What a log is lengthened by at once.
const SLICE_BYTES: usize = 1 << 20;
/// How long a commit waits for somebody who has no business to write: a shell, a second server.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of pages that a file open for writing keeps in memory, in KiB: those of one large group.
const CACHE_KIB: i64 = 512;
/// Errors of a disk that could not take what was written; of a full one, too, on which a log's index finds no room.
const UNWRITTEN: [i32; 6] = [
    ffi::SQLITE_IOERR_WRITE,
    ffi::SQLITE_IOERR_FSYNC,
    ffi::SQLITE_IOERR_DIR_FSYNC,
    ffi::SQLITE_IOERR_TRUNCATE,
    ffi::SQLITE_IOERR_SHMSIZE,
    ffi::SQLITE_IOERR_SHMMAP,
];

/// A file system under SQLite that is not the system's own.
#[derive(Clone, Debug)]
pub struct Vfs {
    /// SQLite knows it by this name.
    pub name: String,
    /// What [`write_again`] is on it; the first word is its name.
    pub write_again: fn(&str, &Path) -> io::Result<()>,
}

/// Where a ledger is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its folder.
    pub dir: PathBuf,
    /// SQLite's file system under it; the system's own when there is none.
    pub vfs: Option<Vfs>,
    /// SETs of the server: a user's SET follows from their number, so a ledger has one for ever.
    pub sets: u32,
    /// Write-ahead log at which a segment is closed.
    pub segment_bytes: u64,
    /// Files are made and settled on the writer's own thread, one with each commit: for simulations, whose order of events
    /// is their own.
    pub is_inline: bool,
    /// How many files questions are looked for in.
    pub reach: Reach,
}

/// Who opens a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// One who writes, and makes it where there is none.
    Make,
    /// One who writes.
    Write,
    /// One who only looks, and leaves all as it is.
    Look,
}

impl Place {
    /// A folder, of a server with as many SETs as it has by default.
    pub fn new(dir: &Path) -> Place {
        Place {
            dir: dir.to_path_buf(),
            vfs: None,
            sets: SETS_DEFAULT as u32,
            segment_bytes: SEGMENT_BYTES,
            is_inline: false,
            reach: Reach::default(),
        }
    }

    /// Another folder, with all else alike.
    pub fn at(&self, dir: &Path) -> Place {
        Place { dir: dir.to_path_buf(), ..self.clone() }
    }

    /// The numbers of the segments whose files are here, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn segments(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("postings-")?.strip_suffix(".db"));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The file of a segment, counted from 1.
    pub fn segment_name(number: u32) -> String {
        format!("postings-{number:06}.db")
    }

    /// Opens one of its files; `None` when there is none. Who will write has its log on disk first.
    ///
    /// # Errors
    /// A [`Refusal`]: it is damaged, or the system refuses.
    pub fn open(&self, name: &str, access: Access) -> Result<Option<Connection>> {
        self.keep_log(name)?;
        let opened = self.connect(name, access).map_err(|error| self.refused(name, &error))?;
        if let Some(file) = &opened
            && access != Access::Look
        {
            self.secure_log(name, file)?;
        }
        Ok(opened)
    }

    /// SQLite deletes the log of a file that is empty. No crash leaves one: the file's first page is on disk before there is
    /// a log.
    fn keep_log(&self, name: &str) -> Result<()> {
        let len = |name: &str| std::fs::metadata(self.dir.join(name)).map_or(0, |file| file.len());
        if self.vfs.is_none() && len(name) == 0 && len(&format!("{name}-wal")) > 0 {
            return Err(self.damaged(name, "it is missing or empty, and its log is there"));
        }
        Ok(())
    }

    fn connect(&self, name: &str, access: Access) -> rusqlite::Result<Option<Connection>> {
        let path = self.dir.join(name);
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if access == Access::Make {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let opened = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&path, flags, vfs.name.as_str()),
            None => Connection::open_with_flags(&path, flags),
        };
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) && !path.exists() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        connection.busy_timeout(PATIENCE)?;
        // Closing must not write into what may be damaged, nor end a failed disk's log: who wants a checkpoint asks.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        if access == Access::Make {
            // The journal that writes the first page is gone from the disk's folder before there is a log. Else the power could
            // bring it back, its undoing empties the file, and a second loss of power then leaves the log alone.
            connection.pragma_update(None, "synchronous", "EXTRA")?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // It says "wal" before it has done it, and is silent when the disk fails then: the mode stays one in which the end of a
            // commit is not synced.
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            if mode != "wal" {
                return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_WRITE), None));
            }
            // What is appended is not read again, and several files are open at a time.
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        if access == Access::Look {
            connection.pragma_update(None, "query_only", true)?;
        }
        Ok(Some(connection))
    }

    /// Writes zeros behind a file's log up to the size at which the file is closed: a sync that does not lengthen a file
    /// takes half the time. Only a help: without room, or on another file system, the log grows as it is written.
    pub fn lengthen_log(&self, name: &str) {
        if self.vfs.is_none() {
            let log = self.dir.join(format!("{name}-wal"));
            let _shorter = lengthen(&log, self.segment_bytes);
        }
    }

    /// Writes a file's log once more as it is: after a sync that failed, the system shows what the disk may not hold, and the
    /// next sync says that all is well. What is appended to such a log is lost with it, and a checkpoint of it is undone in
    /// part when the power fails: the disk's log, which ends earlier, hides some pages of the file and leaves others.
    fn secure_log(&self, name: &str, file: &Connection) -> Result<()> {
        let log = self.dir.join(format!("{name}-wal"));
        let refused = |error| self.refused(name, &error);
        // Nobody else writes to it or begins it anew meanwhile.
        file.execute_batch("BEGIN IMMEDIATE").map_err(refused)?;
        let written = match &self.vfs {
            None => write_again(&log),
            Some(vfs) => (vfs.write_again)(&vfs.name, &log),
        };
        file.execute_batch("ROLLBACK").map_err(refused)?;
        let unwritable = |error| Refusal::Unwritable { dir: self.dir.clone(), said: format!("{name}-wal: {error}") };
        written.map_err(|error| unwritable(error).into())
    }

    /// Refuses a file whose log SQLite would end before postings that were once committed.
    ///
    /// # Errors
    /// [`Refusal::Damaged`], or the log cannot be read.
    pub fn check_log(&self, name: &str) -> Result<()> {
        let log = format!("{name}-wal");
        match self.vfs.is_none().then(|| log::lost_from(&self.dir.join(&log))).transpose()?.flatten() {
            None => Ok(()),
            Some(byte) => Err(self.damaged(&log, format!("it is wrong at byte {byte}, and commits follow"))),
        }
    }

    /// The refusal of a file in which something false was found.
    pub fn damaged(&self, file: &str, found: impl ToString) -> Error {
        Refusal::Damaged { dir: self.dir.clone(), file: file.to_owned(), found: found.to_string() }.into()
    }

    /// What to say of an error of SQLite's at the opening of a ledger.
    pub fn refused(&self, file: &str, error: &rusqlite::Error) -> Error {
        let is_unwritable = match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::DiskFull | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                true
            }
            _ => error.sqlite_error().is_some_and(|error| UNWRITTEN.contains(&error.extended_code)),
        };
        match is_unwritable {
            true => Refusal::Unwritable { dir: self.dir.clone(), said: format!("{file}: {error}") }.into(),
            false => self.damaged(file, error),
        }
    }
}

/// Writes what stands in a file, if there is one, into the same places, and syncs it.
///
/// # Errors
/// The disk refuses.
pub fn write_again(file: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let (mut chunk, mut at) = (vec![0; SLICE_BYTES], 0);
    loop {
        let len = file.read_at(&mut chunk, at)?;
        if len == 0 {
            return if at == 0 { Ok(()) } else { file.sync_data() };
        }
        file.write_all_at(&chunk[..len], at)?;
        at += len as u64;
    }
}

fn lengthen(file: &Path, bytes: u64) -> io::Result<()> {
    let mut log = OpenOptions::new().append(true).open(file)?;
    let written = log.metadata()?.len();
    let zeros = vec![0; SLICE_BYTES];
    for _ in 0..bytes.saturating_sub(written) / SLICE_BYTES as u64 {
        // In slices, so that nobody's sync waits for all of it.
        let extended = log.write_all(&zeros).and_then(|()| log.sync_data());
        if extended.is_err() {
            return log.set_len(written);
        }
    }
    Ok(())
}
