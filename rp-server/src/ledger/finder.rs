//! Finds the postings that a question is about, beside the writer and in short transactions: from the newest file to older
//! ones, in closed files by their indices, in the one that is open by a [`Catalogue`].
//!
//! A closed file that has no indices yet is searched row by row, and is as good. What is read is committed; whether it is
//! what was written is the audit's to prove.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use rp_core::engine::asks::{Ask, DetailAsk, HistoryAsk};
use rp_core::limits::{DATAGRAM_MAX, HISTORY_PAGE_ROWS};
use rp_core::posting::{Act, Posting};
use rusqlite::Params;

use super::catalogue::Catalogue;
use super::reader::{File, SqliteReader};
use super::{Finder, rows, schema, segment};

/// What SQLite keeps of each file that is open, in KiB; the system keeps the rest.
const CACHE_KIB: i64 = 96;
/// Catalogues kept of files that are closed and have no indices yet; there are more only when their making lags behind.
const CATALOGUES_MAX: u32 = 4;
/// One question takes no longer, but for the file at hand: who asked is told to come later, or where to go on.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many files questions are looked for in.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Files that stay open between questions; at least one.
    pub open_max: usize,
    /// Files that one page of a history is looked for in: who has few rows is told where to go on, and pays for each step. No
    /// more than stay open, or each page would open all of its own anew.
    pub files_a_page: u32,
}

impl Default for Reach {
    fn default() -> Reach {
        Reach { open_max: 24, files_a_page: 24 }
    }
}

/// What SQLite is asked.
struct Questions {
    at: String,
    by_debit: String,
    by_credit: String,
    /// Is there, among what the accounts next below a packet got, a packet's money? Users may have numbers like packets, so
    /// only a few are looked at.
    packet_below: String,
}

impl Questions {
    fn new() -> Questions {
        let by = |column: &str, acts: &[Act]| {
            let acts = schema::is_one_of(acts);
            format!("SELECT * FROM posting WHERE {column} = ?1 AND {acts} AND position < ?2 ORDER BY position DESC")
        };
        let gets = schema::is_one_of(&schema::GETS);
        Questions {
            at: "SELECT * FROM posting WHERE position = ?1".to_owned(),
            by_debit: by("debit", &schema::GIVES),
            by_credit: by("credit", &schema::GETS),
            packet_below: format!(
                "SELECT coalesce(max(act = ?3), 0) FROM (SELECT act FROM posting INDEXED BY posting_credit \
                 WHERE credit >= ?1 AND credit < ?2 AND {gets} ORDER BY credit DESC LIMIT 16)"
            ),
        }
    }
}

/// Finds postings in one ledger.
pub struct SqliteFinder {
    reader: SqliteReader,
    reach: Reach,
    questions: Questions,
    /// The file that is open, or was when somebody last asked; 0 when nobody has.
    last: u32,
    /// With the last time, in files asked, that one was.
    files: BTreeMap<u32, (u64, File)>,
    asked: u64,
    catalogues: BTreeMap<u32, Catalogue>,
    /// The position of each file's first posting, where it is known.
    firsts: HashMap<u32, u64>,
}

/// Postings that were found, newest first.
#[derive(Default)]
struct Found {
    bytes: Vec<u8>,
    /// Position, and where it begins.
    rows: Vec<(u64, usize)>,
}

impl Found {
    fn push(&mut self, position: u64, posting: &Posting<'_>) {
        let at = self.bytes.len();
        self.bytes.resize(at + posting.len(), 0);
        posting.put(&mut self.bytes[at..]);
        self.rows.push((position, at));
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, Posting<'_>)> {
        let posting = |at: usize| Posting::take(&self.bytes[at..]).expect("whole postings were put there");
        self.rows.iter().map(move |(position, at)| (*position, posting(*at)))
    }
}

/// What is looked for.
struct Search<'a> {
    ask: &'a Ask,
    /// The user or the packet.
    account: u64,
    before: u64,
    most: usize,
}

impl SqliteFinder {
    pub(super) fn of(reader: SqliteReader, reach: Reach) -> SqliteFinder {
        let (files, catalogues, firsts) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        SqliteFinder { reader, reach, questions: Questions::new(), last: 0, files, asked: 0, catalogues, firsts }
    }

    fn look(&mut self, ask: &Ask, out: &mut [u8; DATAGRAM_MAX]) -> Result<usize> {
        if self.reader.has_lost(self.oldest()) {
            self.mind_the_archive()?;
        }
        self.catch_up()?;
        match ask {
            Ask::Detail(ask) => self.detail(ask, out),
            Ask::History(ask) => self.history(ask, out),
        }
    }

    fn detail(&mut self, ask: &DetailAsk, out: &mut [u8; DATAGRAM_MAX]) -> Result<usize> {
        let search = Search { ask: &Ask::Detail(*ask), account: ask.packet, before: i64::MAX as u64, most: usize::MAX };
        let mut found = Found::default();
        let begun = Instant::now();
        for number in (self.oldest()..=self.last).rev() {
            ensure!(begun.elapsed() < PATIENCE, "packet {} is in none of the newest files", ask.packet);
            self.find(number, &search, &mut found)?;
            let is_whole = found.iter().any(|(_, posting)| posting.act == Act::Sent);
            if is_whole || self.has_packet_below(number, ask.packet)? {
                break;
            }
        }
        Ok(ask.answer(found.iter().rev().map(|(_, posting)| posting), out))
    }

    /// Was a packet of the same SET with a lower number made in this file? Then it was made in no older one. It saves looking
    /// everywhere for what never was, and no more.
    fn has_packet_below(&mut self, number: u32, packet: u64) -> Result<bool> {
        self.file(number)?;
        let file = &self.files[&number].1;
        // A file that has not the index has been searched already.
        let Ok(mut query) = file.connection.prepare_cached(&self.questions.packet_below) else { return Ok(false) };
        let (from, to) = (packet & !((1 << 48) - 1), packet & !0xffff);
        let found = query.query_one((from as i64, to as i64, Act::Sent as u8), |row| row.get(0));
        found.map_err(|error| anyhow!("{}: {error}", file.name))
    }

    fn history(&mut self, ask: &HistoryAsk, out: &mut [u8; DATAGRAM_MAX]) -> Result<usize> {
        let before = if ask.before == 0 { u64::MAX } else { ask.before }.min(i64::MAX as u64);
        let newest = self.number_of(before - 1)?;
        let mut oldest = newest.saturating_sub(self.reach.files_a_page - 1).max(self.oldest());
        let begun = Instant::now();
        let mut search = Search { ask: &Ask::History(*ask), account: ask.reader.user, before, most: 0 };
        let mut found = Found::default();
        for number in (oldest..=newest).rev() {
            search.most = HISTORY_PAGE_ROWS + 1 - found.rows.len();
            if search.most == 0 || begun.elapsed() > PATIENCE {
                oldest = number + 1;
                break;
            }
            self.find(number, &search, &mut found)?;
        }
        let unseen = if oldest == self.oldest() { 0 } else { self.first(oldest)?.unwrap_or(0) };
        Ok(ask.answer(found.iter(), unseen, out))
    }

    /// Finds what one file has.
    fn find(&mut self, number: u32, search: &Search<'_>, found: &mut Found) -> Result<()> {
        self.file(number)?;
        let file = &self.files[&number].1;
        let before = found.rows.len();
        match self.catalogues.get(&number) {
            Some(catalogue) => {
                for position in catalogue.of(search.account).filter(|position| *position < search.before) {
                    if found.rows.len() - before == search.most {
                        break;
                    }
                    take(file, &self.questions.at, [position as i64], search, found)?;
                }
            }
            None => {
                for sql in [&self.questions.by_debit, &self.questions.by_credit] {
                    take(file, sql, [search.account as i64, search.before as i64], search, found)?;
                }
                found.rows[before..].sort_unstable_by_key(|(position, _)| std::cmp::Reverse(*position));
                // Who takes a share of a packet with his own number is found twice.
                found.rows.dedup_by_key(|(position, _)| *position);
                found.rows.truncate(before.saturating_add(search.most));
            }
        }
        Ok(())
    }

    /// Learns which file is open, and reads on what is in no index, of the newest files.
    fn catch_up(&mut self) -> Result<()> {
        if self.last == 0 {
            self.last = self.reader.last_begun()?;
        }
        // What was written before the last one was seen open is read, for that was asked first.
        while self.is_closed(self.last)? {
            self.last += 1;
        }
        let first = self.last.saturating_sub(CATALOGUES_MAX).max(self.oldest());
        self.catalogues = self.catalogues.split_off(&first);
        for number in first..=self.last {
            self.file(number)?;
            let file = &self.files[&number].1;
            if number < self.last && has_indices(file)? {
                self.catalogues.remove(&number);
                continue;
            }
            let read = self.catalogues.entry(number).or_default().read_on(&file.connection);
            read.map_err(|error| anyhow!("{}: {error}", file.name))?;
        }
        Ok(())
    }

    fn is_closed(&mut self, number: u32) -> Result<bool> {
        self.file(number)?;
        Ok(self.reader.label_of(&self.files[&number].1)?.closed)
    }

    /// Lets go of files that were archived since it was last looked at; whether any was.
    fn mind_the_archive(&mut self) -> Result<bool> {
        if !self.reader.is_outdated()? {
            return Ok(false);
        }
        let oldest = self.oldest();
        self.last = if self.last < oldest { 0 } else { self.last };
        self.files = self.files.split_off(&oldest);
        self.catalogues = self.catalogues.split_off(&oldest);
        self.firsts.retain(|number, _| *number >= oldest);
        Ok(true)
    }

    /// The oldest file at hand: those before it are archived, and histories end there.
    fn oldest(&self) -> u32 {
        self.reader.archived().number + 1
    }

    /// The newest file that begins at a position or before it; the oldest when all begin behind it.
    fn number_of(&mut self, position: u64) -> Result<u32> {
        let (mut low, mut high) = (self.oldest(), self.last + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let begins_by = self.first(middle)?.is_some_and(|first| first <= position);
            (low, high) = if begins_by { (middle, high) } else { (low, middle) };
        }
        Ok(low)
    }

    fn first(&mut self, number: u32) -> Result<Option<u64>> {
        if let Some(first) = self.firsts.get(&number) {
            return Ok(Some(*first));
        }
        self.file(number)?;
        let first = self.reader.first(&self.files[&number].1)?;
        self.firsts.extend(first.map(|first| (number, first)));
        Ok(first)
    }

    fn file(&mut self, number: u32) -> Result<&File> {
        self.asked += 1;
        if !self.files.contains_key(&number) {
            let opened = self.reader.file(number)?;
            let file = opened.ok_or_else(|| anyhow!("file {number} of the ledger is missing"))?;
            let kept = file.connection.pragma_update(None, "cache_size", -CACHE_KIB);
            kept.map_err(|error| anyhow!("{}: {error}", file.name))?;
            while self.files.len() >= self.reach.open_max {
                let longest = self.files.iter().min_by_key(|(_, (asked, _))| *asked).map(|(number, _)| *number);
                self.files.remove(&longest.unwrap_or_default());
            }
            self.files.insert(number, (self.asked, file));
        }
        let (asked, file) = self.files.get_mut(&number).expect("it was put there");
        *asked = self.asked;
        Ok(file)
    }
}

impl Finder for SqliteFinder {
    fn answer(&mut self, ask: &Ask, out: &mut [u8; DATAGRAM_MAX]) -> Result<usize> {
        let answered = self.look(ask, out);
        // A file may have gone between the look at the archive and the look into it.
        if answered.is_err() && self.mind_the_archive()? { self.look(ask, out) } else { answered }
    }
}

/// Takes rows of a statement, as many as are looked for at most.
fn take(file: &File, sql: &str, parameters: impl Params, search: &Search<'_>, found: &mut Found) -> Result<()> {
    let before = found.rows.len();
    let refused = |error| anyhow!("{}: {error}", file.name);
    let mut query = file.connection.prepare_cached(sql).map_err(refused)?;
    let mut rows = query.query(parameters).map_err(refused)?;
    while found.rows.len() - before < search.most
        && let Some(row) = rows.next().map_err(refused)?
    {
        let stored = rows::stored(row).ok_or_else(|| anyhow!("{}: a row is no posting", file.name))?;
        if search.ask.is_about(&stored.posting) {
            found.push(stored.end.position, &stored.posting);
        }
    }
    Ok(())
}

fn has_indices(file: &File) -> Result<bool> {
    segment::has_indices(&file.connection).map_err(|error| anyhow!("{}: {error}", file.name))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn every_question_about_an_account_goes_by_its_index() {
        let file = Connection::open_in_memory().expect("memory");
        file.execute_batch("CREATE TABLE posting (position INTEGER PRIMARY KEY, act, debit, credit)").expect("a table");
        file.execute_batch(&schema::segment_indices()).expect("indices");
        let Questions { by_debit, by_credit, packet_below, .. } = Questions::new();
        for (sql, index) in
            [(by_debit, "posting_debit"), (by_credit, "posting_credit"), (packet_below, "posting_credit")]
        {
            let mut plan =
                file.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.replace('?', ""))).expect("it can be asked");
            let steps = plan.query_map([], |row| row.get::<_, String>(3)).expect("a plan");
            let steps: Vec<String> = steps.map(|step| step.expect("words")).collect();
            assert!(steps.iter().any(|step| step.contains("SEARCH") && step.contains(index)), "{steps:?}");
            assert!(!steps.iter().any(|step| step.contains("ORDER BY")), "it is in order already: {steps:?}");
        }
    }
}
