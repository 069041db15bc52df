//! The tables of the ledger's files, and the steps from one version of them to the next.

use anyhow::{Error, Result};
use rp_core::posting::Act;
use rusqlite::{Connection, Transaction};

use super::place::{Access, Place};
use super::refusal::Refusal;

/// What brings a file from the version of its place in the list to the next.
pub type Step = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// One kind of file.
pub struct Schema {
    /// In the file's header, so that a file of another kind is not taken for it.
    pub application: i64,
    /// From version 0, an empty file, on.
    pub steps: &'static [Step],
}

/// The files of postings.
pub const SEGMENT: Schema = Schema { application: 0x5250_5031, steps: &[make_segment, |_| Ok(())] };
/// The file of [`STATE`].
pub const STATE_NAME: &str = "state.db";
/// Which campaign is the configuration file's, and what is being changed of one; no database.
pub const CAMPAIGN_NAME: &str = "campaign.json";
/// `state.db`.
pub const STATE: Schema = Schema { application: 0x5250_5331, steps: &[make_state, make_archive] };

// A ledger's files go from version to version together.
const _: () = assert!(SEGMENT.steps.len() == STATE.steps.len());

const SEGMENT_TABLES: &str = r#"
CREATE TABLE posting (position INTEGER PRIMARY KEY, "set", sequence, act, debit, credit, fen, about, request, hash,
    at_ms, source, tail BLOB, chain);
CREATE TABLE segment (ledger BLOB, number, epoch, closed, checksum);
CREATE TABLE acts (act INTEGER PRIMARY KEY, name TEXT, debit_type TEXT, credit_type TEXT);
CREATE VIEW entries AS
SELECT position, debit_type AS type, iif(debit_type IN ('mint', 'transit'), 0, debit) AS account, -fen AS fen, at_ms,
    name AS act FROM posting JOIN acts USING (act) WHERE debit_type <> 'none'
UNION ALL
SELECT position, credit_type, iif(credit_type IN ('mint', 'transit'), 0, credit), fen, at_ms, name
    FROM posting JOIN acts USING (act) WHERE credit_type <> 'none';
"#;

const STATE_TABLES: &str = r#"
CREATE TABLE ledger (id BLOB, epoch, sets, checksum);
CREATE TABLE mark (id INTEGER PRIMARY KEY, position, chain, heads BLOB, ledger_ms, boot_ms, boot BLOB, unix_ms, checksum);
CREATE TABLE projection ("set" INTEGER PRIMARY KEY, sequence, floor, bytes BLOB, checksum);
"#;

/// One row when there is something in it.
const ARCHIVE_TABLE: &str = "CREATE TABLE archive (id INTEGER PRIMARY KEY, number, position, chain, checksum)";

/// Acts in whose postings the giver is looked for. A campaign gives prizes, and its number is some user's, too: whoever looks
/// for that user must not meet every prize.
pub const GIVES: [Act; 5] = [Act::Withdrawn, Act::Sent, Act::Taken, Act::Handed, Act::Refunded];
/// Acts in whose postings the getter is looked for.
pub const GETS: [Act; 6] = [Act::Deposited, Act::Won, Act::Sent, Act::Taken, Act::Received, Act::Refunded];

/// The condition that a posting is of one of these acts, always in the same words, by which SQLite knows the index for it.
pub fn is_one_of(acts: &[Act]) -> String {
    let numbers: Vec<String> = acts.iter().map(|act| (*act as u8).to_string()).collect();
    format!("act IN ({})", numbers.join(", "))
}

/// Makes the indices of a closed file of postings, where it has none: they serve the finder alone.
pub fn segment_indices() -> String {
    let index = |column: &str, acts: &[Act]| {
        format!("CREATE INDEX IF NOT EXISTS posting_{column} ON posting ({column}) WHERE {};", is_one_of(acts))
    };
    index("debit", &GIVES) + &index("credit", &GETS)
}

fn make_segment(file: &Transaction<'_>) -> rusqlite::Result<()> {
    file.execute_batch(SEGMENT_TABLES)?;
    let mut insert = file.prepare("INSERT INTO acts VALUES (?, ?, ?, ?)")?;
    for act in Act::ALL {
        let (debit, credit) = act.sides();
        insert.execute((*act as u8, act.name(), debit.name(), credit.name()))?;
    }
    Ok(())
}

fn make_state(file: &Transaction<'_>) -> rusqlite::Result<()> {
    file.execute_batch(STATE_TABLES)
}

fn make_archive(file: &Transaction<'_>) -> rusqlite::Result<()> {
    file.execute_batch(ARCHIVE_TABLE)
}

impl Schema {
    /// The version that this program writes.
    pub fn version(&self) -> i64 {
        self.steps.len() as i64
    }

    /// The version of a file; 0 when it is empty.
    ///
    /// # Errors
    /// It is newer, or of another kind.
    pub fn version_of(&self, place: &Place, name: &str, file: &Connection) -> Result<i64> {
        let pragma = |what: &str| file.pragma_query_value(None, what, |row| row.get::<_, i64>(0));
        let refused = |error| place.refused(name, &error);
        let (version, application) =
            (pragma("user_version").map_err(refused)?, pragma("application_id").map_err(refused)?);
        if version != 0 && application != self.application {
            return Err(place.damaged(name, format!("it is a file of another kind ({application:#x})")));
        }
        if version < 0 || version > self.version() {
            return Err(Refusal::Newer { file: place.dir.join(name), version, known: self.version() }.into());
        }
        Ok(version)
    }

    /// Brings a file to this program's version, in one transaction; `fill` completes a file that was empty.
    ///
    /// # Errors
    /// It is newer, or cannot be written.
    pub fn migrate(
        &self,
        place: &Place,
        name: &str,
        file: &mut Connection,
        fill: &dyn Fn(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let version = self.version_of(place, name, file)?;
        if version < self.version() {
            self.climb(file, version, fill).map_err(|error| place.refused(name, &error))?;
        }
        Ok(())
    }

    fn climb(
        &self,
        file: &mut Connection,
        version: i64,
        fill: &dyn Fn(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = file.transaction()?;
        for step in &self.steps[version as usize..] {
            step(&transaction)?;
        }
        if version == 0 {
            transaction.pragma_update(None, "application_id", self.application)?;
            fill(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", self.version())?;
        transaction.commit()
    }

    /// Is this file complete? One of version 0 is empty, as a crash leaves it while it is made.
    ///
    /// # Errors
    /// It is of another version, or of another kind.
    pub fn is_made(&self, place: &Place, name: &str, file: &Connection) -> Result<bool> {
        match self.version_of(place, name, file)? {
            0 => Ok(false),
            version if version < self.version() => {
                Err(Refusal::Older { file: place.dir.join(name), version, known: self.version() }.into())
            }
            _ => Ok(true),
        }
    }

    /// Holds a file's tables, and what its views stand on, to those that this program makes.
    ///
    /// # Errors
    /// They differ.
    pub fn check(&self, place: &Place, name: &str, file: &Connection) -> Result<()> {
        let refused = |error| place.refused(name, &error);
        let mut fresh = Connection::open_in_memory().map_err(refused)?;
        self.climb(&mut fresh, 0, &|_| Ok(())).map_err(refused)?;
        if plan(file).map_err(refused)? != plan(&fresh).map_err(refused)? {
            return Err(place.damaged(name, "its tables are not those of its version"));
        }
        Ok(())
    }
}

/// Brings the files of an older ledger to this program's version: `state.db` last, so that what a crash cuts off is done
/// again.
///
/// # Errors
/// One is newer, or cannot be written.
pub fn bring_up(place: &Place, state: &Schema, segment: &Schema) -> Result<()> {
    let is_older = |name: &str, schema: &Schema| {
        let Some(file) = place.open(name, Access::Look)? else { return Ok(false) };
        Ok::<bool, Error>((1..schema.version()).contains(&schema.version_of(place, name, &file)?))
    };
    if !is_older(STATE_NAME, state)? {
        return Ok(());
    }
    // Archived ones are not here, or only some.
    for name in place.segments()?.into_iter().map(Place::segment_name) {
        if let Some(mut file) = place.open(&name, Access::Write)? {
            segment.migrate(place, &name, &mut file, &|_| Ok(()))?;
        }
    }
    let state_file = place.open(STATE_NAME, Access::Write)?;
    state_file.map_or(Ok(()), |mut file| state.migrate(place, STATE_NAME, &mut file, &|_| Ok(())))
}

/// What a file is made of, in words. Its indices are nothing that a proof reads by, and a file is as good without.
fn plan(file: &Connection) -> rusqlite::Result<Vec<String>> {
    let has_acts = file.table_exists(None, "acts")?;
    let acts = if has_acts { "UNION ALL SELECT act || name || debit_type || credit_type FROM acts" } else { "" };
    let sql = format!("SELECT type || name || tbl_name || sql FROM sqlite_schema WHERE type <> 'index' {acts}");
    let mut query = file.prepare(&sql)?;
    query.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Opened, Outcome, sqlite};

    const NEXT_SEGMENT: Schema = Schema {
        application: SEGMENT.application,
        steps: &[
            make_segment,
            |_| Ok(()),
            |file| file.execute_batch("ALTER TABLE posting ADD COLUMN colour DEFAULT 'red'"),
        ],
    };
    const NEXT_STATE: Schema =
        Schema { application: STATE.application, steps: &[make_state, make_archive, |_| Ok(())] };

    fn minted() -> Vec<u8> {
        let posting = rp_core::posting::Posting {
            set: 1,
            sequence: 1,
            act: Act::Minted,
            debit: 0,
            credit: 7,
            fen: 100,
            about: 0,
            request: 0,
            hash: 0,
            at_ms: 0,
            source: rp_core::posting::Source::NONE,
            tail: &[],
        };
        let mut out = vec![0; posting.len()];
        posting.put(&mut out);
        out
    }

    #[test]
    fn an_older_ledger_is_brought_up_and_a_newer_one_refused() {
        let dir = std::env::temp_dir().join(format!("rp-ledger-schema-{}", std::process::id()));
        let place = Place { segment_bytes: 1 << 20, ..Place::new(&dir) };
        let Opened { mut ledger, keeper, .. } = sqlite::open(&place, &mut ()).expect("an empty folder");
        assert_eq!(ledger.commit(&minted()), Outcome::Durable { position: 1 });
        drop(keeper);
        ledger.close().expect("there is room");
        bring_up(&place, &STATE, &SEGMENT).expect("nothing is to be done");

        for _ in 0..2 {
            bring_up(&place, &NEXT_STATE, &NEXT_SEGMENT).expect("one step, once");
            for number in [1, 2] {
                let name = Place::segment_name(number);
                let file = place.open(&name, Access::Look).expect("it is sound").expect("it is there");
                assert_eq!(NEXT_SEGMENT.version_of(&place, &name, &file).expect("it is known"), 3);
                NEXT_SEGMENT.check(&place, &name, &file).expect("its tables are those that would be made");
            }
        }
        let first = place.open(&Place::segment_name(1), Access::Look).expect("it is sound").expect("it is there");
        let colour: String = first.query_one("SELECT colour FROM posting", [], |row| row.get(0)).expect("a column");
        assert_eq!(colour, "red");
        let refusal = sqlite::open(&place, &mut ()).err().expect("it is newer").to_string();
        assert!(refusal.contains("has version 3, written by a newer rp-server; this one knows 2"), "{refusal}");
        std::fs::remove_dir_all(&dir).expect("it was made");
    }
}
