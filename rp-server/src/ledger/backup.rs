//! A copy of a whole ledger, made beside its server, that opens by itself.
//!
//! What is closed is copied first and never again. Then `state.db`, then what has been written since: so the copied mark and
//! projections are never ahead of the copied postings. All of it is made in a folder inside the backup's, proven, synced,
//! renamed once, and only then moved in, file by file, which whoever finds it cut off completes: there is an earlier
//! backup or this one, and nothing between.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use rp_core::key::Key;
use serde::{Deserialize, Serialize};

use super::copying::{Progress, copy, make_anew, put, sync};
use super::lock::{self, Lock};
use super::place::{Place, make_private};
use super::reader::SqliteReader;
use super::schema::{CAMPAIGN_NAME, STATE_NAME};
use super::segment::Label;
use super::state::{Archived, State};
use super::{End, Keeper as _};

/// Where a backup is made.
pub const PART: &str = "backup.part";
/// Its name from when it is whole until it is moved in.
const WHOLE: &str = "backup.whole";
/// What tells a backup from a ledger.
pub const NOTE: &str = "backup.json";

/// What a backup says of itself.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The ledger's id.
    ledger: Key,
    /// How many times the ledger had been opened for writing: a server that opens the copy is one more.
    epoch: u64,
    /// The last posting in it, and its checksum.
    position: u64,
    chain: u64,
    /// Files up to this number were archived, and may not be here.
    archived: u32,
    /// When, in milliseconds since 1970.
    made_ms: u64,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files of postings that were copied.
    pub files: u32,
    /// Those that an earlier backup had.
    pub kept: u32,
    /// Bytes that were copied, `state.db` among them.
    pub bytes: u64,
    /// The last posting.
    pub position: u64,
    /// What is not in it: the files up to this number, which are archived, and their last posting.
    pub archived: (u32, u64),
}

/// Copies the ledger in one folder to another, whether a server runs on it or not; where an earlier backup of it is, what
/// is new.
///
/// # Errors
/// The ledger is damaged, the other folder holds something else, or the disk refuses. An earlier backup is as it was.
pub fn backup(from: &Path, to: &Path, progress: Progress<'_>) -> Result<Copied> {
    let place = Place::new(from);
    complete(&place)?;
    let ledger = SqliteReader::open(&place)?;
    let _copying = Lock::take_to_copy(from)?;
    make_private(to).with_context(|| format!("making the folder {}", to.display()))?;
    ensure!(
        fs::canonicalize(from)? != fs::canonicalize(to)?,
        "{} is the ledger itself: give another folder by --to",
        to.display()
    );
    let is_backup = accepts(to)?;
    let _held = Lock::take(to)?;
    let there = place.at(to);
    bring_in(&there)?;
    let (state, part) = (State::find(&place)?, place.at(&to.join(PART)));
    let id = state.id();
    if is_backup {
        follows(&there, id, SqliteReader::of(&place, id, state.archived()?))?;
    }
    drop((state, ledger));
    make_anew(&part.dir)?;
    let made = make(&place, &there, &part, id, progress);
    if made.is_err() {
        // Room for others; what is left of it is thrown away the next time.
        let _gone = fs::remove_dir_all(&part.dir);
    }
    let copied = made?;
    fs::rename(&part.dir, to.join(WHOLE)).context("renaming what was copied")?;
    sync(to)?;
    bring_in(&there)?;
    Ok(copied)
}

/// May a backup be made here? `true` where an earlier one is.
fn accepts(to: &Path) -> Result<bool> {
    let names: Vec<String> = fs::read_dir(to)
        .with_context(|| format!("reading the folder {}", to.display()))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    if names.iter().any(|name| [NOTE, WHOLE].contains(&name.as_str())) {
        return Ok(true);
    }
    let ours = [PART, lock::NAME, "lost+found"];
    match names.iter().find(|name| !ours.contains(&name.as_str())) {
        None => Ok(false),
        Some(name) => bail!("{} is no backup, and holds {name}: give an empty folder by --to", to.display()),
    }
}

/// Holds an earlier backup to being one of this ledger, and of nothing that this ledger has not.
fn follows(there: &Place, id: Key, mut ledger: SqliteReader) -> Result<()> {
    let dir = there.dir.display();
    let note = fs::read(there.dir.join(NOTE)).with_context(|| format!("reading {NOTE} in {dir}"))?;
    let note: Note = serde_json::from_slice(&note).with_context(|| format!("reading {NOTE} in {dir}"))?;
    ensure!(note.ledger == id, "{dir} is a backup of another ledger: give another folder by --to");
    ensure!(
        State::find(there)?.epoch() == note.epoch,
        "a server has run on the backup in {dir}, so it is a ledger of its own: give another folder by --to"
    );
    let end = End { position: note.position, chain: note.chain };
    let is_ours = end.position <= ledger.archived().end.position || ledger.end_at(end.position)? == Some(end);
    ensure!(
        is_ours,
        "the backup in {dir} goes up to posting {}, which this ledger does not have: was it restored from an older \
         copy? Nothing was changed: give another folder by --to",
        end.position
    );
    Ok(())
}

/// Makes all that is new, and proves it.
fn make(place: &Place, there: &Place, part: &Place, id: Key, progress: Progress<'_>) -> Result<Copied> {
    let archived = State::find(place)?.archived()?;
    let mut copied = Copied { archived: (archived.number, archived.end.position), ..Copied::default() };
    let files = gather(place, there, part, id, &mut copied, progress)?;
    let fresh = SqliteReader::of(part, id, Archived::default());
    let (mut end, mut epoch) = (archived.end, 0);
    for (number, kept) in (archived.number + 1..).zip(files) {
        match kept {
            Some(kept) => end = kept,
            None => {
                let (label, proven) = fresh.prove_file(number, Some(end))?;
                (end, epoch) = (proven, label.epoch);
            }
        }
    }
    let mut state = State::find(part)?;
    ensure!(epoch <= state.epoch(), "a server was started on {} meanwhile: try again", place.dir.display());
    let floors = state.projections()?.into_iter().map(|projection| projection.floor);
    let known = floors.fold(state.last_mark()?.end.position, u64::max);
    if end.position < known {
        let found = format!("the ledger ends at posting {}, and {known} were there", end.position);
        return Err(place.damaged("postings", found));
    }
    copied.position = end.position;
    let note = Note {
        ledger: id,
        epoch: state.epoch(),
        position: end.position,
        chain: end.chain,
        archived: archived.number,
        made_ms: super::Time::now(0)?.unix_ms,
    };
    let file = part.dir.join(NOTE);
    fs::write(&file, serde_json::to_vec(&note)?).with_context(|| format!("writing {}", file.display()))?;
    fs::File::open(&file)?.sync_all()?;
    sync(&part.dir)?;
    Ok(copied)
}

/// Copies what is not there; for each file, from the first that is not archived on, its end where it stays as it is there.
///
/// Nothing is proven yet: a writer in full swing must not get away.
fn gather(
    place: &Place,
    there: &Place,
    part: &Place,
    id: Key,
    copied: &mut Copied,
    progress: Progress<'_>,
) -> Result<Vec<Option<End>>> {
    let [ledger, earlier, fresh] = [place, there, part].map(|place| SqliteReader::of(place, id, Archived::default()));
    let mut files = Vec::new();
    let (mut number, mut has_state) = (copied.archived.0 + 1, false);
    loop {
        let name = Place::segment_name(number);
        let (label, end) = ledger.end_of(number)?.ok_or_else(|| place.damaged(&name, "it is missing"))?;
        if !label.closed && !has_state {
            copied.bytes += copy(place, STATE_NAME, part, progress)?;
            has_state = true;
            // It may be closed meanwhile.
            continue;
        }
        let is_there = |(found, found_end): (Label, End)| found.closed && found_end == end;
        if label.closed && earlier.end_of(number)?.is_some_and(is_there) {
            copied.kept += 1;
            files.push(Some(end));
        } else {
            if !label.closed {
                // Where it ends is settled by the next copy: what is said of a campaign is not ahead of that, as after a crash.
                copy_campaign(place, there, part)?;
            }
            copied.bytes += copy(place, &name, part, progress)?;
            copied.files += 1;
            files.push(None);
            if fresh.end_of(number)?.is_none_or(|(label, _)| !label.closed) {
                return Ok(files);
            }
        }
        number += 1;
    }
}

/// Copies what is said of campaigns beside the postings, if anything is.
fn copy_campaign(place: &Place, there: &Place, part: &Place) -> Result<()> {
    let copy = part.dir.join(CAMPAIGN_NAME);
    match fs::copy(place.dir.join(CAMPAIGN_NAME), &copy) {
        // Nothing is said any more: what an earlier backup says is replaced.
        Err(error) if error.kind() == ErrorKind::NotFound && there.dir.join(CAMPAIGN_NAME).exists() => {
            fs::write(&copy, "{}\n").and_then(|()| fs::File::open(&copy)?.sync_all())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        copied => copied.and_then(|_| fs::File::open(&copy)?.sync_all()),
    }
    .with_context(|| format!("copying {CAMPAIGN_NAME} of {} to {}", place.dir.display(), part.dir.display()))
}

/// Moves in what a backup made whole, if it was cut off before it did so itself. The folder must be held.
///
/// # Errors
/// The disk refuses.
pub fn bring_in(place: &Place) -> Result<()> {
    let whole = place.dir.join(WHOLE);
    if place.vfs.is_some() || !whole.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(&whole)? {
        put(&entry?.path(), &place.dir)?;
    }
    sync(&place.dir)?;
    match fs::remove_dir(&whole) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("removing what was moved in"),
        _ => sync(&place.dir),
    }
}

/// The same for one who does not hold the folder.
///
/// # Errors
/// Another holds it, or the disk refuses.
pub fn complete(place: &Place) -> Result<()> {
    if place.vfs.is_some() || !place.dir.join(WHOLE).exists() {
        return Ok(());
    }
    let _held = Lock::take(&place.dir)?;
    bring_in(place)
}
