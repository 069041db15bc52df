//! Reads postings in order, of a ledger at rest or beside its writer, in short transactions that hold nobody up.
//!
//! Nothing is believed: positions without a gap, each checksum from the one before, each file's label, and the next file
//! wherever one is closed. Files that were moved to an archive are read where they are, when it is said where.

use std::path::PathBuf;

use anyhow::{Error, Result, ensure};
use rp_core::key::Key;
use rp_core::posting::Posting;
use rusqlite::{Connection, OptionalExtension as _};

use super::chain::Chain;
use super::place::{Access, Place};
use super::refusal::Refusal;
use super::rows::{self, Stored};
use super::schema::{SEGMENT, STATE_NAME};
use super::segment::{self, Label};
use super::state::{Archived, State};
use super::{End, Reader, backup};

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
    /// What is no longer in the folder, and the folders where it may be.
    archived: Archived,
    archives: Vec<Place>,
}

/// A file of postings, open to be read.
pub(super) struct File {
    place: Place,
    pub number: u32,
    pub name: String,
    pub connection: Connection,
}

/// Takes each row with its end.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&Stored<'_>) -> Result<()>;

impl SqliteReader {
    /// Reads the ledger in a folder, whether a server has it or not.
    ///
    /// # Errors
    /// There is none, or it is not readable.
    pub fn open(place: &Place) -> Result<SqliteReader> {
        backup::complete(place)?;
        let state = State::find(place)?;
        let place = Place { sets: state.sets(), ..place.clone() };
        Ok(SqliteReader::of(&place, state.id(), state.archived()?))
    }

    /// Looks for archived files in these folders, too.
    ///
    /// # Errors
    /// One is none.
    pub fn with_archives(mut self, dirs: &[PathBuf]) -> Result<SqliteReader> {
        for dir in dirs {
            ensure!(dir.is_dir(), "there is no folder {}: give one with archived files by --archive", dir.display());
            self.archives.push(self.place.at(dir));
        }
        Ok(self)
    }

    /// SETs of the server that writes it.
    pub fn sets(&self) -> u32 {
        self.place.sets
    }

    pub(super) fn of(place: &Place, id: Key, archived: Archived) -> SqliteReader {
        SqliteReader { place: place.clone(), id, at: None, first_number: 1, archived, archives: Vec::new() }
    }

    /// Visits every row from `from` on, the row before it too where nothing else tells its checksum; returns the last one's end.
    pub(super) fn scan(&mut self, from: u64, visit: Visit<'_>) -> Result<Option<End>> {
        let from = from.max(1);
        let base = [End::default(), self.archived.end].into_iter().find(|end| end.position + 1 == from);
        let first = if base.is_some() { from } else { from - 1 };
        let Some(mut file) = self.file_of(first)? else { return Ok(None) };
        self.first_number = file.number;
        // Where it starts amid the ledger, the first row's checksum is taken as it is, and proven by those behind it.
        let mut chain = base.map(|end| Chain::new(self.id, end));
        loop {
            let start = chain.as_ref().map_or(first, |chain| chain.end().position + 1);
            self.drain(&file, start, &mut chain, visit)?;
            if !self.label(&file)?.closed {
                break;
            }
            // What was written between reading its end and reading that it is closed.
            let start = chain.as_ref().map_or(first, |chain| chain.end().position + 1);
            self.drain(&file, start, &mut chain, visit)?;
            let next = self.wanted(file.number + 1)?;
            let is_noted = chain.as_ref().is_none_or(|chain| chain.end() == self.archived.end);
            if file.number == self.archived.number && !is_noted {
                return Err(self.place.damaged(STATE_NAME, "what is archived does not end where it says"));
            }
            file = next;
        }
        self.at = Some(file);
        Ok(chain.map(|chain| chain.end()).filter(|end| end.position >= first))
    }

    /// Reads a file from position `from` to its end.
    fn drain(&self, file: &File, from: u64, chain: &mut Option<Chain>, visit: Visit<'_>) -> Result<()> {
        let refused = |error| file.place.refused(&file.name, &error);
        let sql = "SELECT * FROM posting WHERE position >= ? ORDER BY position LIMIT ?";
        let mut query = file.connection.prepare_cached(sql).map_err(refused)?;
        let mut next = from;
        loop {
            let mut rows = query.query((next as i64, BATCH as i64)).map_err(refused)?;
            let batch_start = next;
            while let Some(row) = rows.next().map_err(refused)? {
                let stored = rows::stored(row).ok_or_else(|| {
                    file.place.damaged(&file.name, format!("what stands at position {next} is no posting"))
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
            return Err(file.place.damaged(&file.name, found));
        }
        match chain {
            None => *chain = Some(Chain::new(self.id, stored.end)),
            Some(chain) => {
                if chain.link(&stored.posting) != stored.end {
                    let found = format!("the checksum of posting {expected} is wrong");
                    return Err(file.place.damaged(&file.name, found));
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
        let first = if position > self.archived.end.position { self.archived.number + 1 } else { 1 };
        if self.file(first)?.is_none() && self.is_outdated()? {
            return self.file_of(position);
        }
        if position <= self.archived.end.position {
            return self.archived_file_of(position).map(Some);
        }
        // A file without postings, or none, is behind every position. Doubling, then halving, finds the last that is not.
        let (mut low, mut step) = (first, 1);
        while self.begins_by(low + step, position)? {
            (low, step) = (low + step, step * 2);
        }
        let mut high = low + step;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.begins_by(middle, position)? { low = middle } else { high = middle }
        }
        self.file(low)
    }

    /// The archived file that holds a position. Only those are wanted that hold what follows it.
    fn archived_file_of(&self, position: u64) -> Result<File> {
        let last = if position == 1 { 1 } else { self.archived.number };
        for number in (1..=last).rev() {
            let file = self.file(number)?.ok_or_else(|| self.missing(number))?;
            if number == 1 || self.first(&file)?.is_some_and(|first| first <= position) {
                return Ok(file);
            }
        }
        Err(self.missing(1))
    }

    fn begins_by(&self, number: u32, position: u64) -> Result<bool> {
        let Some(file) = self.file(number)? else { return Ok(false) };
        Ok(self.first(&file)?.is_some_and(|first| first <= position))
    }

    /// The file behind one that is closed.
    fn wanted(&mut self, number: u32) -> Result<File> {
        if let Some(file) = self.file(number)? {
            return Ok(file);
        }
        self.is_outdated()?;
        self.file(number)?.ok_or_else(|| self.missing(number))
    }

    /// Is a file that was in the folder no longer there?
    pub(super) fn has_lost(&self, number: u32) -> bool {
        let Place { dir, vfs, .. } = &self.place;
        vfs.is_none() && !dir.join(Place::segment_name(number)).exists()
    }

    /// Was anything archived since it was last looked at?
    pub(super) fn is_outdated(&mut self) -> Result<bool> {
        let archived = State::find(&self.place)?.archived()?;
        Ok(std::mem::replace(&mut self.archived, archived) != archived)
    }

    /// Why there is no such file.
    fn missing(&self, number: u32) -> Error {
        if number > self.archived.number {
            let name = Place::segment_name(number);
            return self.place.damaged(&name, "it is missing, and the file before it is closed");
        }
        let is_gone = |number: &u32| self.file(*number).is_ok_and(|file| file.is_none());
        let first = (1..=number).rev().take_while(is_gone).last().unwrap_or(number);
        let last = (number..=self.archived.number).take_while(is_gone).last().unwrap_or(number);
        let files = match Place::segment_name(first) {
            name if last == first => name,
            name => format!("{name} to {}", Place::segment_name(last)),
        };
        Refusal::Archived { dir: self.place.dir.clone(), files }.into()
    }

    /// Is every posting at hand, from the first on?
    pub(super) fn is_complete(&self) -> Result<bool> {
        for number in 1..=self.archived.number {
            if self.file(number)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is no longer in the folder.
    pub(super) fn archived(&self) -> Archived {
        self.archived
    }

    /// What is needed of the archive.
    pub(super) fn wants(&self) -> Error {
        self.missing(1)
    }

    /// The position of a file's first posting, if it has any.
    pub(super) fn first(&self, file: &File) -> Result<Option<u64>> {
        let first: rusqlite::Result<Option<i64>> =
            file.connection.query_one("SELECT min(position) FROM posting", [], |row| row.get(0));
        Ok(first.map_err(|error| file.place.refused(&file.name, &error))?.map(|first| first as u64))
    }

    /// Opens a file of postings, where it is; `None` when there is none, or it was never completed.
    pub(super) fn file(&self, number: u32) -> Result<Option<File>> {
        let archives = self.archives.iter().filter(|_| number <= self.archived.number);
        for place in std::iter::once(&self.place).chain(archives) {
            if let Some(file) = self.file_in(place, number)? {
                // One that is not closed is what an earlier backup had of it.
                let is_part = number <= self.archived.number && !self.label(&file)?.closed;
                if !is_part {
                    return Ok(Some(file));
                }
            }
        }
        Ok(None)
    }

    fn label(&self, file: &File) -> Result<Label> {
        segment::label(&file.place, &file.connection, self.id, file.number)
    }

    fn file_in(&self, place: &Place, number: u32) -> Result<Option<File>> {
        let name = Place::segment_name(number);
        let opened = place.open(&name, Access::Look)?;
        let Some(connection) = opened else { return Ok(None) };
        if !SEGMENT.is_made(place, &name, &connection)? {
            return Ok(None);
        }
        SEGMENT.check(place, &name, &connection)?;
        segment::label(place, &connection, self.id, number)?;
        Ok(Some(File { place: place.clone(), number, name, connection }))
    }

    /// What a file says of itself, and its last posting as it stands there; `None` when there is no such file.
    pub(super) fn end_of(&self, number: u32) -> Result<Option<(Label, End)>> {
        let Some(file) = self.file(number)? else { return Ok(None) };
        let label = self.label(&file)?;
        let sql = "SELECT position, chain FROM posting ORDER BY position DESC LIMIT 1";
        Ok(Some((label, self.row_end(&file, sql, ())?.unwrap_or_default())))
    }

    /// The end of the posting at this position, as it stands there.
    pub(super) fn end_at(&mut self, position: u64) -> Result<Option<End>> {
        let Some(file) = self.file_of(position)? else { return Ok(None) };
        self.row_end(&file, "SELECT position, chain FROM posting WHERE position = ?", (position as i64,))
    }

    fn row_end(&self, file: &File, sql: &str, parameters: impl rusqlite::Params) -> Result<Option<End>> {
        let row = file.connection.query_one(sql, parameters, |row| {
            Ok(End { position: row.get::<_, i64>(0)? as u64, chain: row.get::<_, i64>(1)? as u64 })
        });
        row.optional().map_err(|error| file.place.refused(&file.name, &error))
    }

    /// Proves all of one file, on from the end of the one before where that is known; what it says of itself, and its end.
    pub(super) fn prove_file(&self, number: u32, before: Option<End>) -> Result<(Label, End)> {
        let file =
            self.file(number)?.ok_or_else(|| self.place.damaged(&Place::segment_name(number), "it is missing"))?;
        let first = self.first(&file)?;
        let start = before.map_or(first.unwrap_or(1), |end| end.position + 1);
        if first.is_some_and(|first| first != start) {
            let found = format!("it begins with posting {}, and {start} follows", first.unwrap_or_default());
            return Err(file.place.damaged(&file.name, found));
        }
        let mut chain = before.map(|end| Chain::new(self.id, end));
        self.drain(&file, start, &mut chain, &mut |_| Ok(()))?;
        let label = self.label(&file)?;
        Ok((label, chain.map(|chain| chain.end()).unwrap_or_default()))
    }

    /// The number of the last file that has postings; 1 when none has.
    pub(super) fn last_begun(&mut self) -> Result<u32> {
        Ok(self.file_of(u64::MAX)?.map_or(1, |file| file.number))
    }

    /// What a file says of itself.
    pub(super) fn label_of(&self, file: &File) -> Result<Label> {
        segment::label(&self.place, &file.connection, self.id, file.number)
    }

    /// The label of the file that was read last.
    pub(super) fn last(&self) -> Result<Option<Label>> {
        let Some(at) = &self.at else { return Ok(None) };
        self.label(at).map(Some)
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
