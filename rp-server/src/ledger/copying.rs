//! Copies single files of a ledger by SQLite's own means, beside whoever writes them: as of one moment, synced, and without a
//! log beside them, so that each is whole by itself.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::place::{Access, Place, make_private};

/// Pages copied and synced at once, so that nobody's sync waits for more of them than a megabyte.
const SLICE_PAGES: i32 = 256;
/// What SQLite keeps beside a file.
const ENDINGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Told of each slice: which file, and how many bytes it had.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64);

/// Copies a file to another folder, where there must be none; returns its bytes.
///
/// The source is read in one transaction. In a write-ahead log that holds up no commit; a checkpoint comes later.
///
/// # Errors
/// It is not there, cannot be read, or the other folder has no room.
pub fn copy(from: &Place, name: &str, to: &Place, progress: Progress<'_>) -> Result<u64> {
    let source = from.open(name, Access::Look)?.ok_or_else(|| from.damaged(name, "it is missing"))?;
    let path = to.dir.join(name);
    pour(&source, &path, &mut |bytes| progress(name, bytes))
        .with_context(|| format!("copying {name} of {} to {}", from.dir.display(), to.dir.display()))
}

fn pour(source: &Connection, path: &Path, slice: &mut dyn FnMut(u64)) -> Result<u64> {
    source.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema")?;
    let page_bytes: u32 = source.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let mut copy = Connection::open(path)?;
    // A copy that is cut off is thrown away, so it needs no journal; and what is copied goes out at once.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = 16")?;
    let file = File::open(path)?;
    let backup = Backup::new(source, &mut copy)?;
    loop {
        let before = backup.progress().remaining;
        let step = backup.step(SLICE_PAGES)?;
        file.sync_data()?;
        let pages = match before {
            0 => backup.progress().pagecount - backup.progress().remaining,
            before => before - backup.progress().remaining,
        };
        slice(pages as u64 * u64::from(page_bytes));
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(busy().into()),
        }
    }
    drop(backup);
    drop(copy);
    // Whole by itself: no log beside it that could be left behind.
    let copy = Connection::open(path)?;
    copy.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE")?;
    drop(copy);
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

/// Makes an empty folder, in place of one that was cut off.
///
/// # Errors
/// The disk refuses.
pub fn make_anew(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => make_private(dir),
    }
    .with_context(|| format!("making the folder {}", dir.display()))
}

/// Moves a copied file to its place in another folder, instead of the one that is there and all that belongs to that.
///
/// # Errors
/// The disk refuses.
pub fn put(file: &Path, dir: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default();
    remove_beside(dir, &name.to_string_lossy())?;
    fs::rename(file, dir.join(name)).with_context(|| format!("moving {} to {}", file.display(), dir.display()))
}

/// Removes a file, then what SQLite kept beside it.
///
/// # Errors
/// The disk refuses.
pub fn remove(dir: &Path, name: &str) -> Result<()> {
    // A log without its file would be taken for damage.
    remove_beside(dir, name)?;
    remove_one(&dir.join(name))
}

fn remove_beside(dir: &Path, name: &str) -> Result<()> {
    ENDINGS.iter().try_for_each(|ending| remove_one(&dir.join(format!("{name}{ending}"))))
}

fn remove_one(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Syncs a folder: the names in it are then on disk.
///
/// # Errors
/// The disk refuses.
pub fn sync(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("syncing the folder {}", dir.display()))
}
