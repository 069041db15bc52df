//! `state.db`: who the ledger is, who owns it, how far it was, and what its SETs were. Written beside the writer, never in
//! its way.

use anyhow::{Result, ensure};
use rp_core::key::{Key, sip};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior};

use super::heads::Heads;
use super::place::{Access, Place};
use super::schema::{STATE, STATE_NAME as NAME};
use super::segment::{is_unsure, settle, take_log};
use super::{End, Keeper, Mark, Projection, Time};

/// Pages of its log at which it is brought into the file: nobody waits for it.
const CHECKPOINT_PAGES: i64 = 1000;

/// The open file.
pub struct State {
    place: Place,
    file: Connection,
    id: Key,
    epoch: u64,
    sets: u32,
    is_owned: bool,
    /// A sync failed: what the disk holds is not known to this connection.
    is_broken: bool,
}

/// The files that were moved to an archive: all up to one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Archived {
    /// The last of them; 0 when there is none.
    pub number: u32,
    /// Its last posting.
    pub end: End,
}

fn missing(place: &Place) -> anyhow::Error {
    place.damaged(NAME, "it is missing")
}

impl State {
    /// Opens the state of a ledger to look at it; `None` when it was never completed.
    ///
    /// # Errors
    /// It is damaged or of a newer version.
    pub fn look(place: &Place) -> Result<Option<State>> {
        let file = place.open(NAME, Access::Look)?;
        let Some(file) = file else { return Ok(None) };
        match STATE.is_made(place, NAME, &file)? {
            true => State::read(place, file, false).map(Some),
            false => Ok(None),
        }
    }

    /// Opens the state of a ledger that there must be, to look at it.
    ///
    /// # Errors
    /// There is none, or it is damaged or of another version.
    pub fn find(place: &Place) -> Result<State> {
        State::look(place)?.ok_or_else(|| missing(place))
    }

    /// Opens it to write beside its owner.
    ///
    /// # Errors
    /// As of [`State::find`].
    pub fn join(place: &Place) -> Result<State> {
        State::find(place)?;
        let file = place.open(NAME, Access::Write)?;
        State::read(place, file.ok_or_else(|| missing(place))?, false)
    }

    /// Opens it for its owner, and makes it where there is none.
    ///
    /// # Errors
    /// It is damaged, of a newer version, or cannot be written.
    pub fn own(place: &Place) -> Result<State> {
        let refused = |error| place.refused(NAME, &error);
        let mut file = place.make(NAME)?;
        let id: Key = file.query_one("SELECT randomblob(16)", [], |row| row.get(0)).map_err(refused)?;
        STATE.migrate(place, NAME, &mut file, &|file| {
            let sum = epoch_sum(&id, 0, place.sets) as i64;
            file.execute("INSERT INTO ledger VALUES (?, 0, ?, ?)", (id, place.sets, sum))?;
            put_mark(file, &id, &Mark::default())
        })?;
        take_log(place, NAME, &file)?;
        file.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(refused)?;
        State::read(place, file, true)
    }

    fn read(place: &Place, file: Connection, is_owned: bool) -> Result<State> {
        STATE.check(place, NAME, &file)?;
        let row = file.query_one("SELECT id, epoch, sets, checksum FROM ledger", [], |row| {
            Ok((row.get::<_, Key>(0)?, row.get::<_, i64>(1)? as u64, row.get(2)?, row.get::<_, i64>(3)? as u64))
        });
        let (id, epoch, sets, checksum) = row.map_err(|error| place.refused(NAME, &error))?;
        if checksum != epoch_sum(&id, epoch, sets) {
            return Err(place.damaged(NAME, "the checksum of the ledger's id is wrong"));
        }
        Ok(State { place: place.clone(), file, id, epoch, sets, is_owned, is_broken: false })
    }

    /// The ledger's id, drawn when it was made.
    pub fn id(&self) -> Key {
        self.id
    }

    /// SETs of the server that made it.
    pub fn sets(&self) -> u32 {
        self.sets
    }

    /// How many times it was opened for writing.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Makes this opening the owner: its number is one more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn take_over(&mut self) -> Result<u64> {
        let (id, sets) = (self.id, self.sets);
        self.epoch = self.write(|file| {
            let take = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let epoch: i64 = take.query_one("SELECT epoch FROM ledger", [], |row| row.get(0))?;
            let epoch = epoch as u64 + 1;
            let words = (epoch as i64, epoch_sum(&id, epoch, sets) as i64);
            take.execute("UPDATE ledger SET epoch = ?, checksum = ?", words)?;
            take.commit().map(|()| epoch)
        })?;
        Ok(self.epoch)
    }

    /// The mark.
    ///
    /// # Errors
    /// It is damaged.
    pub fn last_mark(&self) -> Result<Mark> {
        let sql = "SELECT position, chain, heads, ledger_ms, boot_ms, boot, unix_ms, checksum FROM mark";
        let (mark, checksum) =
            self.file.query_one(sql, [], mark_of).map_err(|error| self.place.refused(NAME, &error))?;
        match mark {
            Some(mark) if checksum == mark_sum(&self.id, &mark) => Ok(mark),
            _ => Err(self.place.damaged(NAME, "the checksum of the mark is wrong")),
        }
    }

    /// What was moved to an archive.
    ///
    /// # Errors
    /// It is damaged.
    pub fn archived(&self) -> Result<Archived> {
        let row = self.file.query_one("SELECT number, position, chain, checksum FROM archive", [], |row| {
            let word = |column: usize| row.get::<_, i64>(column).map(|word| word as u64);
            Ok((Archived { number: row.get(0)?, end: End { position: word(1)?, chain: word(2)? } }, word(3)?))
        });
        match row.optional().map_err(|error| self.place.refused(NAME, &error))? {
            None => Ok(Archived::default()),
            Some((archived, checksum)) if checksum == archived_sum(&self.id, archived) => Ok(archived),
            Some(_) => Err(self.place.damaged(NAME, "the checksum of what is archived is wrong")),
        }
    }

    /// Writes, unless a sync has failed: the next one's checkpoint would trust the log.
    fn write<T>(&mut self, put: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        ensure!(!self.is_broken, "{NAME}: an earlier sync failed, so nothing is written to it until the next start");
        let written = put(&mut self.file);
        self.is_broken = written.as_ref().is_err_and(is_unsure);
        written.map_err(|error| self.place.refused(NAME, &error))
    }

    /// Keeps what was moved to an archive.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put_archived(&mut self, archived: Archived) -> Result<()> {
        let Archived { number, end } = archived;
        let words = (number, end.position as i64, end.chain as i64, archived_sum(&self.id, archived) as i64);
        self.write(|file| file.execute("REPLACE INTO archive VALUES (1, ?, ?, ?, ?)", words).map(drop))
    }
}

impl Keeper for State {
    fn keep(&mut self, projection: &Projection) -> Result<()> {
        let sum = projection_sum(&self.id, projection) as i64;
        let Projection { set, sequence, floor, bytes } = projection;
        self.write(|file| {
            let mut keep = file.prepare_cached("REPLACE INTO projection VALUES (?, ?, ?, ?, ?)")?;
            keep.execute((set, *sequence as i64, *floor as i64, bytes, sum)).map(drop)
        })
    }

    fn projections(&mut self) -> Result<Vec<Projection>> {
        let refused = |error| self.place.refused(NAME, &error);
        let sql = r#"SELECT "set", sequence, floor, bytes, checksum FROM projection ORDER BY "set""#;
        let mut query = self.file.prepare(sql).map_err(refused)?;
        let rows = query.query_map([], |row| {
            let (sequence, floor) = (row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64);
            let projection = Projection { set: row.get(0)?, sequence, floor, bytes: row.get(3)? };
            Ok((projection, row.get::<_, i64>(4)? as u64))
        });
        let mut projections = Vec::new();
        for row in rows.map_err(refused)? {
            let (projection, sum) = row.map_err(refused)?;
            if sum != projection_sum(&self.id, &projection) {
                let found = format!("the checksum of the projection of SET {} is wrong", projection.set);
                return Err(self.place.damaged(NAME, found));
            }
            projections.push(projection);
        }
        Ok(projections)
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        let id = self.id;
        self.write(|file| put_mark(file, &id, mark))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.is_owned && !self.is_broken {
            // Its log is as good as the file: a reader beside us, or a full disk, keeps it.
            let _kept = settle(&self.file);
        }
    }
}

fn mark_of(row: &Row<'_>) -> rusqlite::Result<(Option<Mark>, u64)> {
    let word = |column: usize| row.get::<_, i64>(column).map(|word| word as u64);
    let time = Time { ledger_ms: word(3)?, boot_ms: word(4)?, boot: row.get(5)?, unix_ms: word(6)? };
    let end = End { position: word(0)?, chain: word(1)? };
    let heads = Heads::from_bytes(&row.get::<_, Vec<u8>>(2)?);
    Ok((heads.map(|heads| Mark { end, heads, time }), word(7)?))
}

fn put_mark(file: &Connection, id: &Key, mark: &Mark) -> rusqlite::Result<()> {
    let Mark { end, heads, time } = mark;
    let mut put = file.prepare_cached("REPLACE INTO mark VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    put.execute((
        end.position as i64,
        end.chain as i64,
        heads.bytes(),
        time.ledger_ms as i64,
        time.boot_ms as i64,
        time.boot,
        time.unix_ms as i64,
        mark_sum(id, mark) as i64,
    ))
    .map(drop)
}

fn epoch_sum(id: &Key, epoch: u64, sets: u32) -> u64 {
    sip(id, [epoch, sets.into()].map(u64::to_le_bytes).as_flattened())
}

fn archived_sum(id: &Key, Archived { number, end }: Archived) -> u64 {
    sip(id, [number.into(), end.position, end.chain].map(u64::to_le_bytes).as_flattened())
}

fn mark_sum(id: &Key, mark: &Mark) -> u64 {
    let Mark { end, heads, time } = mark;
    let words = [end.position, end.chain, time.ledger_ms, time.boot_ms, time.unix_ms];
    sip(id, &[words.map(u64::to_le_bytes).as_flattened(), &time.boot, &heads.bytes()].concat())
}

fn projection_sum(id: &Key, projection: &Projection) -> u64 {
    let words = [u64::from(projection.set), projection.sequence, projection.floor];
    sip(id, &[words.map(u64::to_le_bytes).as_flattened(), &projection.bytes].concat())
}
