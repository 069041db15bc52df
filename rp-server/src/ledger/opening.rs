//! Opens a ledger: everything that the server will stand on is read and proven before it owns anything.
//!
//! First it only looks: projections by their checksums, postings from the lowest floor on by their chain, the end by the
//! mark. What is damaged is refused as it was found. Then it takes the ledger over, which ends every earlier owner.

use anyhow::{Context as _, Error, Result, bail};
use rp_core::posting::Posting;

use super::backup;
use super::chain::Chain;
use super::finder::SqliteFinder;
use super::heads::Heads;
use super::lock::Lock;
use super::place::{Access, Place};
use super::reader::SqliteReader;
use super::refusal::Refusal;
use super::schema::{self, STATE_NAME};
use super::segment::{self, Label, Segment};
use super::sqlite::SqliteLedger;
use super::state::State;
use super::upkeep::Upkeep;
use super::{End, Keeper as _, Mark, Opened, Projection, Restore};

/// What was found, and proven.
struct Found {
    mark: Mark,
    end: End,
    heads: Heads,
    /// Of the first and the last file that were read.
    files: Option<(u32, Label)>,
}

/// Opens the ledger in a folder for writing, and makes it where there is none; hands what it holds to `restore`.
///
/// # Errors
/// A [`Refusal`]: it is damaged, newer, another's or not writable; or what `restore` says.
pub fn open(place: &Place, restore: &mut dyn Restore) -> Result<Opened> {
    let lock = Lock::take(&place.dir)?;
    backup::bring_in(place)?;
    schema::bring_up(place, &schema::STATE, &schema::SEGMENT)?;
    let found = match State::look(place)? {
        Some(state) if state.sets() != place.sets => {
            return Err(Refusal::OtherSets { dir: place.dir.clone(), made: state.sets(), asked: place.sets }.into());
        }
        Some(state) => find(place, state, restore)?,
        None => nothing(place)?,
    };
    let mut state = State::own(place)?;
    let (id, archived) = (state.id(), state.archived()?);
    if state.epoch() == 0 {
        // From here on a ledger without its first file has lost it.
        Segment::open(place, 1, id, 0)?;
    }
    let epoch = state.take_over()?;
    let (first, last) = found.files.map_or((1, 1), |(first, last)| (first, last.number));
    segment::secure(place, last - 1)?;
    let segment = Segment::open(place, last, id, epoch)?;
    if segment.label().closed || segment.last_position()?.is_some_and(|last| last != found.end.position) {
        bail!("another rp-server wrote to the ledger in {} just now: stop it", place.dir.display());
    }
    let upkeep = Upkeep::start(place, id, epoch, last)?;
    (first..last).for_each(|number| upkeep.settle(number));
    let ledger = SqliteLedger::new(place, segment, upkeep, found.heads, Chain::new(id, found.end), lock);
    let reader = Box::new(SqliteReader::of(place, id, archived));
    let finder = Box::new(SqliteFinder::of(SqliteReader::of(place, id, archived), place.reach));
    Ok(Opened { ledger: Box::new(ledger), keeper: Box::new(state), reader, finder: Some(finder), mark: found.mark })
}

/// Holds a ledger that was never completed to being none.
fn nothing(place: &Place) -> Result<Found> {
    let name = Place::segment_name(1);
    let first = place.open(&name, Access::Look)?;
    let names = place.names()?;
    if first.is_some() || names.iter().any(|name| name.starts_with("postings-")) {
        return Err(place.damaged(STATE_NAME, "it is missing or empty, and postings are there"));
    }
    if names.iter().any(|name| name == backup::PART) {
        return Err(place.damaged(backup::PART, "a backup into it was cut off, and there is no earlier one"));
    }
    Ok(Found { mark: Mark::default(), end: End::default(), heads: Heads::default(), files: None })
}

/// Reads what is there, and proves it.
fn find(place: &Place, mut state: State, restore: &mut dyn Restore) -> Result<Found> {
    let (mark, projections, archived) = (state.last_mark()?, state.projections()?, state.archived()?);
    let mut reader = SqliteReader::of(place, state.id(), archived);
    // Whatever is archived was in a projection: a SET that has none began later, or it is lost.
    let base = if reader.is_complete()? { 0 } else { archived.end.position };
    let floor = floor(&mark, &projections, base);
    let mut tail = Tail { place, mark: &mark, floor, base, projected: Heads::default(), seen: Heads::default() };
    for projection in &projections {
        tail.projected.put(projection.set, projection.sequence).map_err(|gap| place.damaged(STATE_NAME, gap))?;
        restore.projection(projection).with_context(|| format!("the projection of SET {}", projection.set))?;
    }
    let read = reader.scan(floor + 1, &mut |stored| tail.take(stored.end, &stored.posting, restore));
    let end = read.map_err(|error| lacking(error, &reader))?.unwrap_or_default();
    let Some(last) = reader.last()? else {
        return match (state.epoch(), mark.end.position) {
            (0, 0) => Ok(Found { mark, end, heads: Heads::default(), files: None }),
            _ => Err(place.damaged(&Place::segment_name(archived.number + 1), "it is missing")),
        };
    };
    let name = Place::segment_name(last.number);
    if end.position < mark.end.position.max(floor) {
        let found =
            format!("the ledger ends at posting {}, and {} were there", end.position, mark.end.position.max(floor));
        return Err(place.damaged(&name, found));
    }
    place.check_log(&name)?;
    if reader.is_begun(last.number + 1)? {
        return Err(place.damaged(&name, "it is not closed, and the file behind it has postings"));
    }
    if last.epoch > state.epoch() {
        let found = format!("it is older than the postings: opening {} of {}", state.epoch(), last.epoch);
        return Err(place.damaged(STATE_NAME, found));
    }
    let heads = tail.heads(&name).map_err(|error| lacking(error, &reader))?;
    let first = reader.first_number();
    Ok(Found { mark, end, heads, files: Some((first, last)) })
}

/// A SET whose postings are archived, and that has no projection: with its postings it can be made anew.
#[derive(Debug)]
struct Unprojected(u16);

impl std::error::Error for Unprojected {}

impl std::fmt::Display for Unprojected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "state.db has no projection of SET {}", self.0)
    }
}

/// Says what is needed of the archive, if that is what is wrong.
fn lacking(error: Error, reader: &SqliteReader) -> Error {
    match error.downcast::<Unprojected>() {
        Ok(unprojected) => reader.wants().context(unprojected),
        Err(other) => other,
    }
}

/// The position behind which everything must be read: no projection lacks more. Where a SET lacks its projection, that is
/// behind `base`.
pub(super) fn floor(mark: &Mark, projections: &[Projection], base: u64) -> u64 {
    let is_projected = |set| projections.iter().any(|projection| projection.set == set);
    if !mark.heads.iter().all(|(set, _)| is_projected(set)) {
        return base;
    }
    projections.iter().map(|projection| projection.floor).fold(mark.end.position, u64::min)
}

/// What is held to the postings as they come.
struct Tail<'a> {
    place: &'a Place,
    mark: &'a Mark,
    floor: u64,
    /// What precedes was archived.
    base: u64,
    projected: Heads,
    seen: Heads,
}

impl Tail<'_> {
    fn take(&mut self, end: End, posting: &Posting<'_>, restore: &mut dyn Restore) -> Result<()> {
        if end.position == self.mark.end.position && end != self.mark.end {
            return Err(self.place.damaged(STATE_NAME, format!("posting {} is not the one it marked", end.position)));
        }
        if end.position <= self.floor {
            return Ok(());
        }
        let Posting { set, sequence, .. } = *posting;
        let projected = self.projected.of(set);
        let follows = match self.seen.of(set) {
            // The first that is seen of a SET may be one that its projection holds.
            0 if (1..=projected + 1).contains(&sequence) => self.seen.put(set, sequence),
            0 => self.projected.follow(set, sequence),
            _ => self.seen.follow(set, sequence),
        };
        follows.map_err(|gap| match (self.base, projected) {
            (1.., 0) => Unprojected(set).into(),
            _ => self.place.damaged("postings", format!("{gap}, at position {}", end.position)),
        })?;
        if sequence > projected {
            restore.posting(end.position, posting).with_context(|| format!("posting {}", end.position))?;
        }
        Ok(())
    }

    /// The last sequence of each SET, if neither mark nor projections knew more.
    fn heads(self, name: &str) -> Result<Heads> {
        let mut heads = self.projected.clone();
        for (set, seen) in self.seen.iter() {
            if seen < self.projected.of(set) {
                let found = format!("SET {set} ends at {seen}, and its projection at {}", self.projected.of(set));
                return Err(self.place.damaged(name, found));
            }
            heads.put(set, seen)?;
        }
        match self.mark.heads.iter().find(|(set, last)| !heads.hold(*set, *last)) {
            Some((set, _)) if self.base > 0 && heads.of(set) == 0 => Err(Unprojected(set).into()),
            Some((set, last)) => {
                let found = format!("SET {set} ends at {}, and {last} were there", heads.of(set));
                Err(self.place.damaged(name, found))
            }
            None => Ok(heads),
        }
    }
}
