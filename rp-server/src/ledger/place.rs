//! Where a ledger is: its folder, and the way to its files, which are all SQLite's but the lock.

use std::fs::{DirBuilder, DirEntry, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Error, Result};
use rp_core::limits::SETS_DEFAULT;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::finder::Reach;
use super::log;
use super::refusal::Refusal;
use super::trouble::{self, Trouble};

/// A segment is closed when its write-ahead log has about this size: as long as a checkpoint takes, the next one must hold.
const SEGMENT_BYTES: u64 = 32 << 20;
/// What SQLite begins a log with.
const LOG_HEADER_BYTES: usize = 32;
/// What a log is lengthened by at once.
const SLICE_BYTES: usize = 1 << 20;
/// How long a commit waits for somebody who has no business to write: a shell, a second server.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of pages that a file open for writing keeps in memory, in KiB: those of one large group.
const CACHE_KIB: i64 = 512;
/// A file system under SQLite that is not the system's own.
#[derive(Clone, Debug)]
pub struct Vfs {
    /// SQLite knows it by this name.
    pub name: String,
    /// What [`write_again`] is on it; the first word is its name.
    pub write_again: fn(&str, &Path) -> io::Result<()>,
}

/// Makes a folder for a ledger, or copies of one, that only its user may enter: who has how much is nobody else's business. One that
/// is there stays as it is, and those that it is in are made as others are.
///
/// # Errors
/// The disk's.
pub fn make_private(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(_) if dir.is_dir() => Ok(()),
        made => made,
    }
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
    /// Files are made and settled on the writer's own thread, one with each commit: for simulations and tests, whose order of
    /// events is their own.
    pub is_inline: bool,
    /// How many files questions are looked for in.
    pub reach: Reach,
}

/// Who opens a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
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
    pub fn segments(&self) -> Result<Vec<u32>> {
        let names = self.names()?;
        let number = |name: &String| name.strip_prefix("postings-")?.strip_suffix(".db")?.parse().ok();
        let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What is in the folder.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let name = |entry: DirEntry| entry.file_name().to_string_lossy().into_owned();
        let names = std::fs::read_dir(&self.dir).and_then(|entries| entries.map(|entry| entry.map(name)).collect());
        names.map_err(|error| self.unreadable("listing the folder", &error))
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
        match self.connect(name, access, false) {
            Ok(file) if access == Access::Look => Ok(Some(file)),
            Ok(file) => self.secure_log(name, &file).map(|()| Some(file)),
            Err(error) if Trouble::of(&error) == Some(Trouble::Open) && self.lacks(name) => Ok(None),
            Err(error) => Err(self.refused(name, &error)),
        }
    }

    /// Opens one of its files to write, and makes it where there is none.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn make(&self, name: &str) -> Result<Connection> {
        self.keep_log(name)?;
        let file = self.connect(name, Access::Write, true).map_err(|error| self.refused(name, &error))?;
        self.secure_log(name, &file)?;
        Ok(file)
    }

    /// Is a file surely not there?
    fn lacks(&self, name: &str) -> bool {
        self.dir.join(name).try_exists().is_ok_and(|is_there| !is_there)
    }

    /// SQLite deletes the log of a file that is empty. No crash leaves one: the file's first page is on disk before there is
    /// a log.
    fn keep_log(&self, name: &str) -> Result<()> {
        let len = |name: &str| match std::fs::metadata(self.dir.join(name)) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(self.unreadable(&format!("looking for {name}"), &error)),
        };
        if self.vfs.is_none() && len(name)? == 0 && len(&format!("{name}-wal"))? > 0 {
            return Err(self.damaged(name, "it is missing or empty, and its log is there"));
        }
        Ok(())
    }

    fn connect(&self, name: &str, access: Access, makes: bool) -> rusqlite::Result<Connection> {
        let path = self.dir.join(name);
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if makes {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let connection = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&path, flags, vfs.name.as_str())?,
            None => Connection::open_with_flags(&path, flags)?,
        };
        connection.busy_timeout(PATIENCE)?;
        // Closing must not write into what may be damaged, nor end a failed disk's log: who wants a checkpoint asks.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        if makes {
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
        Ok(connection)
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
        written.map_err(|error| self.unwritable(&format!("writing {name}-wal once more"), &error))
    }

    /// Refuses a file whose log SQLite would end before postings that were once committed.
    ///
    /// # Errors
    /// [`Refusal::Damaged`], or the log cannot be read.
    pub fn check_log(&self, name: &str) -> Result<()> {
        let log = format!("{name}-wal");
        if self.vfs.is_some() {
            return Ok(());
        }
        let lost_from = log::lost_from(&self.dir.join(&log));
        match lost_from.map_err(|error| self.unreadable(&format!("reading {log}"), &error))? {
            None => Ok(()),
            Some(byte) => Err(self.damaged(&log, format!("it is wrong at byte {byte}, and commits follow"))),
        }
    }

    /// The refusal of a file in which something false was found.
    pub fn damaged(&self, file: &str, found: impl ToString) -> Error {
        Refusal::Damaged { dir: self.dir.clone(), file: file.to_owned(), found: found.to_string() }.into()
    }

    /// The refusal of what the system would not read.
    pub fn unreadable(&self, tried: &str, said: &impl ToString) -> Error {
        Refusal::Unreadable { dir: self.dir.clone(), said: format!("{tried}: {}", said.to_string()) }.into()
    }

    /// The refusal of what the system would not write.
    pub fn unwritable(&self, tried: &str, said: &impl ToString) -> Error {
        Refusal::Unwritable { dir: self.dir.clone(), said: format!("{tried}: {}", said.to_string()) }.into()
    }

    /// What to say of an error of SQLite's: is it of what the file holds, or of the system beneath?
    pub fn refused(&self, name: &str, error: &rusqlite::Error) -> Error {
        let Some(trouble) = Trouble::of(error) else { return self.damaged(name, trouble::found(error)) };
        let file = self.dir.join(name);
        // A simulated disk has no such file, and none to be asked of.
        let refusal = if self.vfs.is_none() { trouble.asked_again(&file) } else { None };
        let said = refusal.map_or_else(|| trouble::words(error), |refusal| refusal.to_string());
        let tried = format!("{} {name}", trouble.tried());
        match trouble {
            Trouble::Read => self.unreadable(&tried, &said),
            Trouble::Open | Trouble::Write => self.unwritable(&tried, &said),
            Trouble::Lock => Refusal::Locked { file, said }.into(),
        }
    }
}

/// Writes what stands in a log, if there is one, into the same places, and syncs it.
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
        // A log that begins with nothing holds nothing: it was lengthened, and no more.
        if at == 0 && chunk[..len.min(LOG_HEADER_BYTES)].iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if len == 0 {
            return file.sync_data();
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn nobody_else_enters_a_new_folder_and_an_old_one_stays_as_it_is() {
        let folder = std::env::temp_dir().join(format!("rp-private-{}", std::process::id()));
        let mode = || std::fs::metadata(folder.join("ledger")).expect("it is there").permissions().mode() & 0o777;
        make_private(&folder.join("ledger")).expect("a temporary folder");
        assert_eq!(mode(), 0o700);
        let parent = std::fs::metadata(&folder).expect("it is there").permissions().mode();
        assert_ne!(parent & 0o077, 0, "the folder that it is in is open: {parent:o}");
        std::fs::set_permissions(folder.join("ledger"), std::fs::Permissions::from_mode(0o750))
            .expect("our own folder");
        make_private(&folder.join("ledger")).expect("it is there");
        assert_eq!(mode(), 0o750);
        std::fs::remove_dir_all(folder).expect("our own folder");
    }
}
