//! Moves the oldest closed files of a ledger to another folder, beside its server: each is copied, synced, proven, noted in
//! `state.db`, and only then removed. Cut off at any moment, nothing is lost, and the next time goes on.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use rp_core::key::Key;

use super::backup::{NOTE, complete};
use super::copying::{self, Progress, copy, make_anew, put, sync};
use super::lock::Lock;
use super::place::{Access, Place, make_private};
use super::reader::SqliteReader;
use super::refusal::is_locked;
use super::schema::STATE_NAME;
use super::segment;
use super::state::{Archived, State};
use super::{End, Keeper as _, opening};

/// Where a file is copied to until it is proven.
const PART: &str = "archive.part";

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Files.
    pub files: u32,
    /// Their bytes.
    pub bytes: u64,
    /// The last file that is archived by now, and the last posting in it.
    pub archived: (u32, u64),
    /// The next start reads from this posting on: no file that holds it, or what follows, is moved.
    pub needed: u64,
    /// Closed files that stay.
    pub left: u32,
}

/// Moves the closed files of the ledger in one folder to another, but the newest `keep`, and those that the next start needs.
///
/// # Errors
/// A file is damaged, somebody reads it for long, or the disk refuses. What was moved before stays so.
pub fn archive(from: &Path, to: &Path, keep: u32, progress: Progress<'_>) -> Result<Moved> {
    let place = Place::new(from);
    complete(&place)?;
    let mut state = State::join(&place)?;
    let _copying = Lock::take_to_copy(from)?;
    make_private(to).with_context(|| format!("making the folder {}", to.display()))?;
    // Its name, too, is on disk before anything is only there.
    sync(&to.join(".."))?;
    let is_ledger = [STATE_NAME, NOTE].iter().any(|name| to.join(name).exists());
    ensure!(!is_ledger, "{} holds a ledger or a backup: give a folder of its own by --to", to.display());
    let needed = opening::floor(&state.last_mark()?, &state.projections()?, 0);
    let archived = state.archived()?;
    let (candidates, left) = candidates(&place, state.id(), archived, keep, needed)?;
    let mut moved =
        Moved { archived: (archived.number, archived.end.position), needed: needed + 1, left, ..Moved::default() };
    for number in candidates {
        moved.bytes += move_one(&place, &place.at(to), number, &mut state, progress)?;
        moved.files += 1;
        let Archived { number, end } = state.archived()?;
        moved.archived = (number, end.position);
    }
    clear(&place, moved.archived.0)?;
    Ok(moved)
}

/// The files to move, in order, and how many closed ones stay.
fn candidates(place: &Place, id: Key, archived: Archived, keep: u32, needed: u64) -> Result<(Vec<u32>, u32)> {
    let reader = SqliteReader::of(place, id, Archived::default());
    let mut closed = Vec::new();
    for number in place.segments()? {
        match reader.end_of(number)? {
            Some((label, end)) if label.closed => closed.push((number, end)),
            // What an earlier backup had of a file that is archived by now.
            _ if number <= archived.number => {}
            _ => break,
        }
    }
    let newest = closed.last().map_or(0, |(number, _)| *number);
    let may_go =
        |(number, end): &&(u32, End)| *number <= archived.number || (*number + keep <= newest && end.position < needed);
    let candidates: Vec<u32> = closed.iter().filter(may_go).map(|(number, _)| *number).collect();
    let left = closed.len() - candidates.len();
    Ok((candidates, left as u32))
}

/// Moves one file, or what is left to do of it; returns its bytes.
fn move_one(place: &Place, there: &Place, number: u32, state: &mut State, progress: Progress<'_>) -> Result<u64> {
    let (name, id, archived) = (Place::segment_name(number), state.id(), state.archived()?);
    ensure!(
        number <= archived.number + 1,
        place.damaged(&Place::segment_name(archived.number + 1), "it is missing, and those behind it are there")
    );
    settle(place, &name)?;
    let before = (number > archived.number).then_some(archived.end);
    let [here, kept] = [place, there].map(|place| SqliteReader::of(place, id, Archived::default()));
    let Some((_, end)) = here.end_of(number)? else { return Err(place.damaged(&name, "it is missing")) };
    if kept.end_of(number)?.is_none() {
        let part = there.at(&there.dir.join(PART));
        make_anew(&part.dir)?;
        copy(place, &name, &part, progress)?;
        let (_, found) = SqliteReader::of(&part, id, Archived::default()).prove_file(number, before)?;
        ensure!(found == end, part.damaged(&name, "it does not end as the file that was copied"));
        put(&part.dir.join(&name), &there.dir)?;
        fs::remove_dir_all(&part.dir).with_context(|| format!("removing {}", part.dir.display()))?;
    } else {
        // Copied before by one that was cut off.
        let (_, found) = kept.prove_file(number, before)?;
        ensure!(found == end, there.damaged(&name, "it does not end as the ledger's own"));
        fs::File::open(there.dir.join(&name))?.sync_all()?;
    }
    sync(&there.dir)?;
    let bytes = fs::metadata(place.dir.join(&name)).map_or(0, |file| file.len());
    if number > archived.number {
        state.put_archived(Archived { number, end })?;
    }
    copying::remove(&place.dir, &name)?;
    sync(&place.dir)?;
    Ok(bytes)
}

/// Brings a file's log into it, so that the file alone holds all.
fn settle(place: &Place, name: &str) -> Result<()> {
    let in_use = || anyhow!("{name} in {} is being read, or gets its indices: try again later", place.dir.display());
    let file = match place.open(name, Access::Write) {
        Err(error) if is_locked(&error) => return Err(in_use()),
        opened => opened?.ok_or_else(|| place.damaged(name, "it is missing"))?,
    };
    match segment::settle(&file) {
        Err(error) if segment::is_busy(&error) => Err(in_use()),
        settled => settled.map_err(|error| place.refused(name, &error)),
    }
}

/// Removes what SQLite kept beside files that are gone.
fn clear(place: &Place, last: u32) -> Result<()> {
    let gone = (1..=last).map(Place::segment_name).filter(|name| !place.dir.join(name).exists());
    gone.into_iter().try_for_each(|name| copying::remove(&place.dir, &name))
}
