//! An index in memory of the postings in one file that has none yet: where what each account gave and got stands, newest
//! first. It is of the same acts as those of closed files.
//!
//! It is made when somebody asks, by reading on from where it ended, and let go when the file is closed and has indices of its
//! own: so it costs the writer nothing, and is never larger than a file gives cause for.

use rp_core::posting::Act;
use rusqlite::Connection;

use super::schema::{GETS, GIVES};

/// Rows of one transaction.
const BATCH: u64 = 4096;
/// Movements that are looked through one by one, before they are sorted with the rest.
const RECENT_MAX: usize = 8192;

/// The movements in one file.
#[derive(Default)]
pub struct Catalogue {
    /// Position of the file's first posting, once it has one.
    first: u64,
    /// The position behind the last that was read.
    next: u64,
    /// Half of an account's hash above a row of the file, in order: eight bytes a movement. Accounts that share a hash are told
    /// apart by whoever looks, as are users and packets that share a number.
    sorted: Vec<u64>,
    /// The same of the newest, in no order.
    recent: Vec<u64>,
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
                if self.next == 0 {
                    self.first = position;
                }
                self.next = position + 1;
                count += 1;
                let row = position - self.first;
                let gives = is_one_of(&GIVES);
                if gives {
                    self.recent.push(half_hash(debit) | row);
                }
                if is_one_of(&GETS) && !(gives && credit == debit) {
                    self.recent.push(half_hash(credit) | row);
                }
            }
            if count < BATCH {
                break;
            }
        }
        if self.recent.len() >= RECENT_MAX {
            let recent = std::mem::take(&mut self.recent);
            self.sorted.reserve_exact(recent.len());
            self.sorted.extend(recent);
            self.sorted.sort_unstable();
        }
        Ok(())
    }

    /// Positions of an account's movements, newest first, and perhaps of another's.
    pub fn of(&self, account: u64) -> impl Iterator<Item = u64> {
        let half = half_hash(account);
        let is_of_it = |movement: &&u64| **movement & HALF == half;
        let from = self.sorted.partition_point(|movement| *movement < half);
        let old = self.sorted[from..].iter().take_while(is_of_it);
        let mut rows: Vec<u64> =
            old.chain(self.recent.iter().filter(is_of_it)).map(|movement| movement & !HALF).collect();
        rows.sort_unstable();
        // Giver and taker of one posting may share a hash.
        rows.dedup();
        let first = self.first;
        rows.into_iter().rev().map(move |row| first + row)
    }
}

/// The upper half of a word.
const HALF: u64 = !0 << 32;

/// Half of an account's hash, in the upper half.
fn half_hash(account: u64) -> u64 {
    account.wrapping_mul(0x9e37_79b9_7f4a_7c15) & HALF
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
