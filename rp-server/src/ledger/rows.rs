//! A posting as a row of the table `posting`, and back. SQLite's integers are signed: the bits are the same.

use rp_core::posting::{Act, Posting, Source, TAIL_MAX};
use rusqlite::types::{Null, ValueRef};
use rusqlite::{Connection, Row, Statement};

use super::End;

/// Columns of a row.
const COLUMNS: usize = 14;
/// Rows of one statement: fewer calls, and as many parameters as bind fast.
pub const MANY: usize = 16;

/// A row that was read.
pub struct Stored<'a> {
    /// Its position and checksum.
    pub end: End,
    /// What it says.
    pub posting: Posting<'a>,
}

/// The statement that appends `rows` rows.
pub fn insert(file: &Connection, rows: usize) -> rusqlite::Result<rusqlite::CachedStatement<'_>> {
    let row = format!("({})", ["?"; COLUMNS].join(","));
    file.prepare_cached(&format!("INSERT INTO posting VALUES {}", vec![row; rows].join(",")))
}

/// Binds row `index` of an [`insert`].
pub fn bind(insert: &mut Statement<'_>, index: usize, posting: &Posting<'_>, end: End) -> rusqlite::Result<()> {
    let words = [
        end.position,
        u64::from(posting.set),
        posting.sequence,
        posting.act as u64,
        posting.debit,
        posting.credit,
        posting.fen,
        posting.about,
        posting.request,
        posting.hash,
        posting.at_ms,
        posting.source.0,
    ];
    let first = index * COLUMNS + 1;
    for (column, word) in words.into_iter().enumerate() {
        insert.raw_bind_parameter(first + column, word as i64)?;
    }
    let rest = first + words.len();
    match posting.tail {
        [] => insert.raw_bind_parameter(rest, Null)?,
        tail => insert.raw_bind_parameter(rest, tail)?,
    }
    insert.raw_bind_parameter(rest + 1, end.chain as i64)
}

/// A row of `SELECT * FROM posting`; `None` when it is none that [`bind`] made.
pub fn stored<'a>(row: &'a Row<'_>) -> Option<Stored<'a>> {
    let word = |column: usize| match row.get_ref(column) {
        Ok(ValueRef::Integer(word)) => Some(word as u64),
        _ => None,
    };
    let tail = match row.get_ref(12).ok()? {
        ValueRef::Null => &[],
        ValueRef::Blob(tail) if (1..=TAIL_MAX).contains(&tail.len()) => tail,
        _ => return None,
    };
    let posting = Posting {
        set: u16::try_from(word(1)?).ok()?,
        sequence: word(2)?,
        act: Act::of_number(u8::try_from(word(3)?).ok()?)?,
        debit: word(4)?,
        credit: word(5)?,
        fen: word(6)?,
        about: word(7)?,
        request: word(8)?,
        hash: word(9)?,
        at_ms: word(10)?,
        source: Source(word(11)?),
        tail,
    };
    Some(Stored { end: End { position: word(0)?, chain: word(13)? }, posting })
}
