//! An index in memory of the postings in one file that has none yet: where what each account gave and got stands, newest
//! first. It is of the same acts as those of closed files.
//!
//! It is made when somebody asks, by reading on from where it ended, and let go when the file is closed and has indices of its
//! own: so it costs the writer nothing, and is never larger than a file gives cause for.

use std::collections::HashMap;

use rp_core::posting::Act;
use rusqlite::Connection;

use super::schema::{GETS, GIVES};

/// Rows of one transaction.
const BATCH: u64 = 4096;
/// Behind the oldest entry of an account.
const END: u32 = u32::MAX;

/// The movements in one file.
#[derive(Default)]
pub struct Catalogue {
    /// Position of the file's first posting, once it has one.
    first: u64,
    /// The position behind the last that was read.
    next: u64,
    entries: Vec<Entry>,
    /// The newest entry of each account; users and packets may share a number, and whoever looks tells them apart.
    newest: HashMap<u64, u32>,
}

/// One movement of one account.
struct Entry {
    /// Its position less the file's first.
    row: u32,
    /// The account's entry before it.
    older: u32,
}

impl Catalogue {
    /// Reads what the file has more.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_on(&mut self, file: &Connection) -> rusqlite::Result<()> {
        let sql = "SELECT position, act, debit, credit FROM posting WHERE position >= ? ORDER BY position LIMIT ?";
        let mut query = file.prepare_cached(sql)?;
        loop {
            let start = self.next;
            let mut rows = query.query((start as i64, BATCH as i64))?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let word = |column| row.get::<_, i64>(column).map(|word| word as u64);
                let (position, act, debit, credit) = (word(0)?, word(1)?, word(2)?, word(3)?);
                let is_one_of = |acts: &[Act]| acts.iter().any(|one| *one as u64 == act);
                if self.entries.is_empty() && self.next == 0 {
                    self.first = position;
                }
                self.next = position + 1;
                count += 1;
                let gives = is_one_of(&GIVES);
                if gives {
                    self.enter(debit, position);
                }
                if is_one_of(&GETS) && !(gives && credit == debit) {
                    self.enter(credit, position);
                }
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }

    fn enter(&mut self, account: u64, position: u64) {
        let at = self.entries.len() as u32;
        let older = self.newest.insert(account, at).unwrap_or(END);
        self.entries.push(Entry { row: (position - self.first) as u32, older });
    }

    /// Positions of an account's movements, newest first.
    pub fn of(&self, account: u64) -> impl Iterator<Item = u64> + '_ {
        let entry = |at: u32| self.entries.get(at as usize);
        let newest = self.newest.get(&account).and_then(|at| entry(*at));
        std::iter::successors(newest, move |found| entry(found.older)).map(|found| self.first + u64::from(found.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accounts_movements_are_found_newest_first_as_the_file_grows() {
        let file = Connection::open_in_memory().expect("memory");
        file.execute_batch("CREATE TABLE posting (position INTEGER PRIMARY KEY, act, debit, credit)").expect("a table");
        let mut catalogue = Catalogue::default();
        catalogue.read_on(&file).expect("it is empty");
        let (mut expected, mut position) = (Vec::new(), 1_000_u64);
        for round in 0..3 {
            for number in 0..BATCH + round {
                let (debit, credit, act) = (number % 7, number % 5, Act::ALL[number as usize % Act::ALL.len()]);
                let row = (position as i64, act as u8, debit as i64, credit as i64);
                file.execute("INSERT INTO posting VALUES (?, ?, ?, ?)", row).expect("a row");
                if GIVES.contains(&act) && debit == 4 || GETS.contains(&act) && credit == 4 {
                    expected.insert(0, position);
                }
                position += 1;
            }
            catalogue.read_on(&file).expect("it is sound");
            assert_eq!(catalogue.of(4).collect::<Vec<_>>(), expected);
        }
        assert_eq!(catalogue.of(7).count(), 0, "nobody is 7");
    }
}
