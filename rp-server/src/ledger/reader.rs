//! Reads postings in order, of a ledger at rest or beside its writer, in short transactions that hold nobody up.
//!
//! Nothing is believed: positions without a gap, each checksum from the one before, each file's label, and the next file
//! wherever one is closed.

use anyhow::Result;
use rp_core::key::Key;
use rp_core::posting::Posting;
use rusqlite::Connection;

use super::chain::Chain;
use super::place::{Access, Place};
use super::rows::{self, Stored};
use super::schema::SEGMENT;
use super::segment::{self, Label};
use super::{End, Reader, state};

/// Rows of one transaction.
const BATCH: u64 = 4096;

/// Reads the postings of one ledger.
pub struct SqliteReader {
    place: Place,
    id: Key,
    /// The file that was read last: who follows the ledger's end opens none.
    at: Option<File>,
    /// The first that the last scan read.
    first_number: u32,
}

struct File {
    number: u32,
    name: String,
    connection: Connection,
}

/// Takes each row with its end.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&Stored<'_>) -> Result<()>;

impl SqliteReader {
    /// Reads the ledger in a folder, whether a server has it or not.
    ///
    /// # Errors
    /// There is none, or it is not readable.
    pub fn open(place: &Place) -> Result<SqliteReader> {
        let (id, sets) = state::identity(place)?;
        Ok(SqliteReader::of(&Place { sets, ..place.clone() }, id))
    }

    /// SETs of the server that writes it.
    pub fn sets(&self) -> u32 {
        self.place.sets
    }

    pub(super) fn of(place: &Place, id: Key) -> SqliteReader {
        SqliteReader { place: place.clone(), id, at: None, first_number: 1 }
    }

    /// Visits every row from `from` on, the row before it too when there is one; returns the last one's end.
    pub(super) fn scan(&mut self, from: u64, visit: Visit<'_>) -> Result<Option<End>> {
        let first = from.saturating_sub(1).max(1);
        let Some(mut file) = self.file_of(first)? else { return Ok(None) };
        self.first_number = file.number;
        // Where it starts amid the ledger, the first row's checksum is taken as it is, and proven by those behind it.
        let mut chain = (first == 1).then(|| Chain::new(self.id, End::default()));
        loop {
            let start = chain.as_ref().map_or(first, |chain| chain.end().position + 1);
            self.drain(&file, start, &mut chain, visit)?;
            if !segment::label(&self.place, &file.connection, self.id, file.number)?.closed {
                break;
            }
            // What was written between reading its end and reading that it is closed.
            let start = chain.as_ref().map_or(first, |chain| chain.end().position + 1);
            self.drain(&file, start, &mut chain, visit)?;
            let next = file.number + 1;
            file = self.file(next)?.ok_or_else(|| {
                self.place.damaged(&Place::segment_name(next), "it is missing, and the file before it is closed")
            })?;
        }
        self.at = Some(file);
        Ok(chain.map(|chain| chain.end()).filter(|end| end.position >= first))
    }

    /// Reads a file from position `from` to its end.
    fn drain(&self, file: &File, from: u64, chain: &mut Option<Chain>, visit: Visit<'_>) -> Result<()> {
        let refused = |error| self.place.refused(&file.name, &error);
        let sql = "SELECT * FROM posting WHERE position >= ? ORDER BY position LIMIT ?";
        let mut query = file.connection.prepare_cached(sql).map_err(refused)?;
        let mut next = from;
        loop {
            let mut rows = query.query((next as i64, BATCH as i64)).map_err(refused)?;
            let batch_start = next;
            while let Some(row) = rows.next().map_err(refused)? {
                let stored = rows::stored(row).ok_or_else(|| {
                    self.place.damaged(&file.name, format!("what stands at position {next} is no posting"))
                })?;
                self.prove(file, next, &stored, chain)?;
                visit(&stored)?;
                next += 1;
            }
            if next < batch_start + BATCH {
                return Ok(());
            }
        }
    }

    fn prove(&self, file: &File, expected: u64, stored: &Stored<'_>, chain: &mut Option<Chain>) -> Result<()> {
        if stored.end.position != expected {
            let found = format!("position {} where {expected} follows", stored.end.position);
            return Err(self.place.damaged(&file.name, found));
        }
        match chain {
            None => *chain = Some(Chain::new(self.id, stored.end)),
            Some(chain) => {
                if chain.link(&stored.posting) != stored.end {
                    let found = format!("the checksum of posting {expected} is wrong");
                    return Err(self.place.damaged(&file.name, found));
                }
            }
        }
        Ok(())
    }

    /// The file that holds a position, or would; `None` when there is no file at all.
    fn file_of(&mut self, position: u64) -> Result<Option<File>> {
        if let Some(file) = self.at.take()
            && self.first(&file)?.is_some_and(|first| first <= position)
        {
            return Ok(Some(file));
        }
        // A file without postings, or none, is behind every position. Doubling, then halving, finds the last that is not.
        let (mut low, mut high) = (1, 2);
        while self.begins_by(high, position)? {
            (low, high) = (high, high * 2);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.begins_by(middle, position)? { low = middle } else { high = middle }
        }
        self.file(low)
    }

    fn begins_by(&self, number: u32, position: u64) -> Result<bool> {
        let Some(file) = self.file(number)? else { return Ok(false) };
        Ok(self.first(&file)?.is_some_and(|first| first <= position))
    }

    fn first(&self, file: &File) -> Result<Option<u64>> {
        let first: rusqlite::Result<Option<i64>> =
            file.connection.query_one("SELECT min(position) FROM posting", [], |row| row.get(0));
        Ok(first.map_err(|error| self.place.refused(&file.name, &error))?.map(|first| first as u64))
    }

    /// Opens a file of postings; `None` when there is none, or it was never completed.
    fn file(&self, number: u32) -> Result<Option<File>> {
        let name = Place::segment_name(number);
        let opened = self.place.open(&name, Access::Look)?;
        let Some(connection) = opened else { return Ok(None) };
        if !SEGMENT.is_made(&self.place, &name, &connection)? {
            return Ok(None);
        }
        SEGMENT.check(&self.place, &name, &connection)?;
        segment::label(&self.place, &connection, self.id, number)?;
        Ok(Some(File { number, name, connection }))
    }

    /// The label of the file that was read last.
    pub(super) fn last(&self) -> Result<Option<Label>> {
        let Some(at) = &self.at else { return Ok(None) };
        segment::label(&self.place, &at.connection, self.id, at.number).map(Some)
    }

    /// The number of the first file that was read then.
    pub(super) fn first_number(&self) -> u32 {
        self.first_number
    }

    /// Does this file have postings?
    pub(super) fn is_begun(&self, number: u32) -> Result<bool> {
        self.begins_by(number, u64::MAX)
    }
}

impl Reader for SqliteReader {
    fn read(&mut self, from: u64, visit: &mut dyn FnMut(u64, &Posting<'_>) -> Result<()>) -> Result<u64> {
        let from = from.max(1);
        let end = self.scan(from, &mut |stored| match stored.end.position {
            position if position >= from => visit(position, &stored.posting),
            _ => Ok(()),
        })?;
        Ok(end.map_or(from, |end| end.position + 1))
    }
}
