//! One file of postings: what comes in order until it is full. Full ones are closed, and a closed one is never written
//! again but by its checkpoint.

use anyhow::Result;
use rp_core::key::{Key, sip};
use rp_core::posting;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, ffi};

use super::chain::Chain;
use super::place::{Access, Place};
use super::rows;
use super::schema::{self, SEGMENT};

/// What a file says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// Its number, from 1.
    pub number: u32,
    /// The owner that may write it.
    pub epoch: u64,
    /// Is the next one in its place?
    pub closed: bool,
}

/// Why a group was not appended.
#[derive(Debug)]
pub enum Unwritten {
    /// Another owner has opened the ledger.
    Fenced,
    /// Nothing of the group is there.
    Refused(rusqlite::Error),
    /// The group may be there: the log was written, but not surely to the disk.
    Unsure(rusqlite::Error),
}

/// A file of postings, open for writing.
pub struct Segment {
    file: Connection,
    label: Label,
    id: Key,
    /// Of its log, about.
    written_bytes: u64,
}

/// Pages that every commit writes anew, whatever its size: the last leaf, its parent, the first.
const PAGES_A_COMMIT: u64 = 3;
const PAGE_BYTES: u64 = 4096;

impl Segment {
    /// Opens a segment for its owner, and makes it where there is none.
    ///
    /// # Errors
    /// It cannot be written, or is not the ledger's.
    pub fn open(place: &Place, number: u32, id: Key, epoch: u64) -> Result<Segment> {
        let name = Place::segment_name(number);
        let refused = |error| place.refused(&name, &error);
        let mut file = place.make(&name)?;
        let fresh = Label { number, epoch, closed: false };
        SEGMENT.migrate(place, &name, &mut file, &|file| {
            file.execute("INSERT INTO segment VALUES (?, ?, 0, 0, 0)", (id, number))?;
            put(file, id, fresh)
        })?;
        let take = file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
        let found = label(place, &take, id, number)?;
        let label = Label { epoch: found.epoch.max(epoch), ..found };
        put(&take, id, label).map_err(refused)?;
        take.commit().map_err(refused)?;
        take_log(place, &name, &file)?;
        place.lengthen_log(&name);
        let pages: u32 = file.pragma_query_value(None, "page_count", |row| row.get(0)).map_err(refused)?;
        Ok(Segment { file, label: Label { epoch, ..label }, id, written_bytes: u64::from(pages) * PAGE_BYTES })
    }

    /// What it says of itself.
    pub fn label(&self) -> Label {
        self.label
    }

    /// About how long its log is, in bytes.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// The position of its last posting, if it has any.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn last_position(&self) -> rusqlite::Result<Option<u64>> {
        let last: Option<i64> = self.file.query_one("SELECT max(position) FROM posting", [], |row| row.get(0))?;
        Ok(last.map(|last| last as u64))
    }

    /// Appends a group of `count` postings, all or none; `closes` it behind them.
    ///
    /// # Errors
    /// Nothing may be appended any more: what the disk holds is not known to this connection.
    pub fn append(&mut self, group: &[u8], count: usize, chain: &mut Chain, closes: bool) -> Result<(), Unwritten> {
        let begun = run(&self.file, "BEGIN IMMEDIATE").map_err(Unwritten::Refused);
        begun.and_then(|()| self.write(group, count, chain, closes)).inspect_err(|_| {
            // What fails here is undone at the next opening, as after a crash.
            let _undone = run(&self.file, "ROLLBACK");
        })?;
        run(&self.file, "COMMIT").map_err(uncommitted)?;
        self.written_bytes += group.len() as u64 + PAGES_A_COMMIT * PAGE_BYTES;
        self.label.closed = closes;
        Ok(())
    }

    fn write(&self, group: &[u8], count: usize, chain: &mut Chain, closes: bool) -> Result<(), Unwritten> {
        let refused = Unwritten::Refused;
        let mut owner = self.file.prepare_cached("SELECT epoch FROM segment").map_err(refused)?;
        let epoch: i64 = owner.query_one([], |row| row.get(0)).map_err(refused)?;
        if epoch as u64 != self.label.epoch {
            return Err(Unwritten::Fenced);
        }
        self.insert(group, count, chain).map_err(refused)?;
        if closes {
            put(&self.file, self.id, Label { closed: true, ..self.label }).map_err(refused)?;
        }
        Ok(())
    }

    fn insert(&self, group: &[u8], count: usize, chain: &mut Chain) -> rusqlite::Result<()> {
        let mut postings = posting::each(group);
        let mut many = rows::insert(&self.file, rows::MANY)?;
        for _ in 0..count / rows::MANY {
            for (index, posting) in postings.by_ref().take(rows::MANY).enumerate() {
                rows::bind(&mut many, index, &posting, chain.link(&posting))?;
            }
            many.raw_execute()?;
        }
        let mut one = rows::insert(&self.file, 1)?;
        for posting in postings {
            rows::bind(&mut one, 0, &posting, chain.link(&posting))?;
            one.raw_execute()?;
        }
        Ok(())
    }

    /// Brings its log into the file itself.
    ///
    /// # Errors
    /// The disk refuses, or another reads it.
    pub fn settle(&self) -> rusqlite::Result<()> {
        settle(&self.file)
    }
}

/// Brings a file's log into the file itself, and lets the log go when the file is closed.
///
/// # Errors
/// The disk refuses, or another reads it: [`ErrorCode::DatabaseBusy`].
pub fn settle(file: &Connection) -> rusqlite::Result<()> {
    renew(file)?;
    // Not before: after a sync that failed, the next one of the same pages says that all is well, and the log would go with them.
    file.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

/// Does somebody else hold up what was tried?
pub fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Makes a closed file sure: the commit that closed it may have been cut off before its sync, and what follows in the next file
/// must not outlast it.
///
/// # Errors
/// The disk refuses.
pub fn secure(place: &Place, number: u32) -> Result<()> {
    let name = Place::segment_name(number);
    // It may be archived.
    let Some(file) = place.open(&name, Access::Write)? else { return Ok(()) };
    take_log(place, &name, &file)
}

/// Makes a file's log its new owner's: brought into the file itself, and begun anew, with no frames of an earlier opening
/// behind its end.
///
/// # Errors
/// The disk refuses.
pub fn take_log(place: &Place, name: &str, file: &Connection) -> Result<()> {
    match renew(file) {
        // Somebody reads it, so it stays.
        Err(error) if is_busy(&error) => Ok(()),
        done => done.map_err(|error| place.refused(name, &error)),
    }
}

/// Brings a file's log into the file itself, and begins the log anew.
///
/// # Errors
/// The disk refuses, or another reads it: [`ErrorCode::DatabaseBusy`].
fn renew(file: &Connection) -> rusqlite::Result<()> {
    let busy: bool = file.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None));
    }
    Ok(())
}

/// Makes a closed file's indices, all or none; they are in its log then.
///
/// # Errors
/// The disk refuses.
pub fn index(file: &mut Connection) -> rusqlite::Result<()> {
    // Sorted in memory, which a file's rows are small enough for, rather than in a folder for temporary files.
    file.pragma_update(None, "temp_store", "MEMORY")?;
    let all = file.transaction()?;
    all.execute_batch(&schema::segment_indices())?;
    all.commit()
}

/// Has a file its indices?
///
/// # Errors
/// It cannot be read.
pub fn has_indices(file: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'posting'";
    file.prepare_cached(sql)?.query_one([], |row| row.get(0))
}

/// Reads a file's label.
///
/// # Errors
/// It is not that of segment `number` of this ledger.
pub fn label(place: &Place, file: &Connection, id: Key, number: u32) -> Result<Label> {
    let name = Place::segment_name(number);
    let sql = "SELECT ledger, number, epoch, closed, checksum FROM segment";
    let row = file.query_one(sql, [], |row| {
        let words = [row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        Ok((row.get::<_, Key>(0)?, words.map(|word| word as u64)))
    });
    let (ledger, [found, epoch, closed, checksum]) = row.map_err(|error| place.refused(&name, &error))?;
    if ledger != id {
        return Err(place.damaged(&name, "it belongs to another ledger"));
    }
    let label = Label { number, epoch, closed: closed == 1 };
    if found != u64::from(number) {
        return Err(place.damaged(&name, format!("it is segment {found}, under another name")));
    }
    if closed > 1 || checksum != label.checksum(id) {
        return Err(place.damaged(&name, "the checksum of its label is wrong"));
    }
    Ok(label)
}

fn put(file: &Connection, id: Key, label: Label) -> rusqlite::Result<()> {
    let words = (label.epoch as i64, label.closed, label.checksum(id) as i64);
    file.execute("UPDATE segment SET epoch = ?, closed = ?, checksum = ?", words).map(drop)
}

impl Label {
    fn checksum(&self, id: Key) -> u64 {
        let words = [u64::from(self.number), self.epoch, u64::from(self.closed)];
        sip(&id, words.map(u64::to_le_bytes).as_flattened())
    }
}

fn run(file: &Connection, sql: &str) -> rusqlite::Result<()> {
    file.prepare_cached(sql)?.execute([]).map(drop)
}

fn uncommitted(error: rusqlite::Error) -> Unwritten {
    if is_unsure(&error) { Unwritten::Unsure(error) } else { Unwritten::Refused(error) }
}

/// May a commit that failed be there all the same? One whose write failed lacks the frame that makes it count; of any other
/// failure that is not known.
pub fn is_unsure(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    !is_busy(error) && ![Some(ffi::SQLITE_FULL), Some(ffi::SQLITE_IOERR_WRITE)].contains(&code)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::SystemTime;

    use rp_core::posting::{Act, POSTING_MAX, Posting};

    use super::super::End;
    use super::*;

    /// Postings that a log holds, which is longer than what is written at once.
    const COUNT: u64 = 2000;

    fn group() -> Vec<u8> {
        let (mut group, mut out) = (Vec::new(), [0; POSTING_MAX]);
        for sequence in 1..=COUNT {
            let len = Posting { sequence, fen: sequence, ..Posting::new(Act::Deposited, 1) }.put(&mut out);
            group.extend(&out[..len]);
        }
        group
    }

    /// How many postings there are, and what their checksums make.
    fn look(file: &Connection) -> (u64, f64) {
        let sql = "SELECT count(*), total(chain) FROM posting";
        file.query_one(sql, [], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))).expect("it is sound")
    }

    #[test]
    fn a_log_that_somebody_reads_is_written_once_more_as_it_is() {
        let dir = std::env::temp_dir().join(format!("rp-ledger-segment-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("the folder for temporary files can be written");
        let place = Place { segment_bytes: 3 << 20, ..Place::new(&dir) };
        let (name, id) = (Place::segment_name(1), Key::default());
        let mut segment = Segment::open(&place, 1, id, 0).expect("a file can be made");
        segment.append(&group(), COUNT as usize, &mut Chain::new(id, End::default()), true).expect("there is room");
        let open = || place.open(&name, Access::Look).expect("it is sound").expect("it is there");
        let reader = open();
        reader.execute_batch("BEGIN").expect("it may read");
        let seen = look(&reader);
        assert_eq!(seen.0, COUNT);
        let log = dir.join(format!("{name}-wal"));
        let bytes = fs::read(&log).expect("it is there");
        File::options().write(true).open(&log).and_then(|log| log.set_modified(SystemTime::UNIX_EPOCH)).expect("ours");

        secure(&place, 1).expect("who reads hinders no start");
        let written = fs::metadata(&log).and_then(|log| log.modified()).expect("it is there");
        assert!(written > SystemTime::UNIX_EPOCH, "the disk gets it once more");
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    assert_eq!(look(&open()), seen, "it reads right at any moment");
                }
            });
            (0..100).for_each(|_| drop(place.open(&name, Access::Write).expect("there is room")));
            ended.store(true, Ordering::Relaxed);
            others.join().expect("it read right");
        });
        assert!(fs::read(&log).expect("it is there") == bytes, "the same bytes");
        assert_eq!(look(&reader), seen);
        drop(reader);

        secure(&place, 1).expect("nobody reads");
        assert_eq!(fs::metadata(&log).expect("it is there").len(), 0, "it is in the file");
        assert_eq!(look(&open()), seen);
        fs::remove_dir_all(&dir).expect("it was made");
    }
}
