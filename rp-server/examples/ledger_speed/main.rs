//! What a commit costs: the ledger against a bare SQLite loop over the same rows, in turns.
//!
//! `ledger_speed [--dir DIR] [--seconds N] [--rounds N] [--groups 64,256]`; prints one line a group size, `name=value` words: rows per
//! second of both (medians of the rounds) and their ratio, and the latencies of a commit in microseconds. The bare loop
//! has the same table, pragmas and group size, and never checkpoints; `auto` is the same loop with SQLite's own
//! checkpoints, as it comes. With `--open POSTINGS` it builds a ledger of so many and prints how long its opening takes.
//! With `--backup POSTINGS` it builds one, and commits `--rate` postings a second (50 000) in groups of the first size, in turns
//! beside a backup of all of it and alone, as long each. With `--ask FILES` it builds
//! one of so many files and prints what their indices cost, and what answers from them do.
#![allow(missing_docs)]

mod ask;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rp_core::posting::{self, Act, POSTING_MAX, Posting, Source};
use rp_server::ledger::backup::backup;
use rp_server::ledger::{Ledger, Outcome, Place, sqlite};
use rusqlite::Connection;

const SETS: u64 = 256;

struct Arguments {
    dir: PathBuf,
    seconds: f64,
    rounds: usize,
    groups: Vec<usize>,
    segment_mib: u64,
    open: Option<u64>,
    backup: Option<u64>,
    rate: f64,
    ask: Option<u32>,
}

fn arguments() -> Result<Arguments> {
    let usage = "usage: ledger_speed [--dir DIR] [--seconds N] [--rounds N] [--groups N,N] [--segment-mib N] \
                 [--open POSTINGS] [--backup POSTINGS] [--rate POSTINGS] [--ask FILES]";
    let dir = std::env::temp_dir().join(format!("rp-ledger-speed-{}", std::process::id()));
    let groups = vec![64, 256, 1000, 4000];
    let (open, backup, ask) = (None, None, None);
    let mut parsed =
        Arguments { dir, seconds: 1.0, rounds: 5, groups, segment_mib: 32, open, backup, rate: 50_000.0, ask };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().context(usage)?;
        match flag.as_str() {
            "--dir" => parsed.dir = PathBuf::from(value),
            "--seconds" => parsed.seconds = value.parse().context(usage)?,
            "--rounds" => parsed.rounds = value.parse().context(usage)?,
            "--segment-mib" => parsed.segment_mib = value.parse().context(usage)?,
            "--backup" => parsed.backup = Some(value.parse().context(usage)?),
            "--rate" => parsed.rate = value.parse().context(usage)?,
            "--ask" => parsed.ask = Some(value.parse().context(usage)?),
            "--open" => parsed.open = Some(value.parse().context(usage)?),
            "--groups" => parsed.groups = value.split(',').map(str::parse).collect::<Result<_, _>>().context(usage)?,
            _ => bail!(usage),
        }
    }
    Ok(parsed)
}

/// Postings as a server in full swing writes them: shares of packets that are taken.
struct Stream {
    sequences: Vec<u64>,
    written: u64,
    group: Vec<u8>,
}

impl Stream {
    fn new() -> Stream {
        Stream { sequences: vec![0; SETS as usize], written: 0, group: Vec::new() }
    }

    fn next(&mut self, count: usize) -> &[u8] {
        self.group.clear();
        for _ in 0..count {
            self.written += 1;
            let random = self.written.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let set = random >> 56;
            let sequence = &mut self.sequences[set as usize];
            *sequence += 1;
            let posting = Posting {
                set: set as u16,
                sequence: *sequence,
                act: Act::Taken,
                debit: 1 << 40 | random >> 30,
                credit: 1_000_000 + random % 1_000_000,
                fen: 1 + random % 20_000,
                about: random % 100,
                request: 1 + random % 1000,
                hash: random,
                at_ms: 1_767_225_600_000 + self.written / 100,
                source: Source::NONE,
                tail: &[],
            };
            let mut bytes = [0; POSTING_MAX];
            let len = posting.put(&mut bytes);
            self.group.extend_from_slice(&bytes[..len]);
        }
        &self.group
    }
}

/// What one subject did in its turns.
#[derive(Default)]
struct Figures {
    rows_per_second: Vec<f64>,
    commits_us: Vec<f64>,
}

impl Figures {
    /// Commits groups for the length of a turn.
    fn turn(
        &mut self,
        stream: &mut Stream,
        size: usize,
        turn: Duration,
        mut commit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let (mut busy, mut rows) = (Duration::ZERO, 0);
        while busy < turn {
            let group = stream.next(size);
            let started = Instant::now();
            commit(group)?;
            let took = started.elapsed();
            self.commits_us.push(took.as_secs_f64() * 1e6);
            busy += took;
            rows += size;
        }
        self.rows_per_second.push(rows as f64 / busy.as_secs_f64());
        Ok(())
    }

    fn median_rate(&mut self) -> f64 {
        self.rows_per_second.sort_by(f64::total_cmp);
        self.rows_per_second[self.rows_per_second.len() / 2]
    }

    fn latencies(&mut self, name: &str) -> String {
        self.commits_us.sort_by(f64::total_cmp);
        let at = |share: f64| self.commits_us[((self.commits_us.len() - 1) as f64 * share) as usize];
        format!("{name}_p50_us={:.0} {name}_p99_us={:.0} {name}_max_us={:.0}", at(0.5), at(0.99), at(1.0))
    }
}

/// The loop that one would write first.
struct Bare(Connection);

impl Bare {
    fn open(file: &Path, autocheckpoint: u32) -> Result<Bare> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", autocheckpoint)?;
        connection.execute_batch(
            r#"CREATE TABLE posting (position INTEGER PRIMARY KEY, "set", sequence, act, debit, credit, fen, about,
               request, hash, at_ms, source, tail BLOB, chain)"#,
        )?;
        Ok(Bare(connection))
    }

    fn commit(&mut self, group: &[u8]) -> Result<()> {
        let transaction = self.0.transaction()?;
        let sql = "INSERT INTO posting VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let mut insert = transaction.prepare_cached(sql)?;
        for posting in posting::each(group) {
            insert.execute((
                posting.set,
                posting.sequence as i64,
                posting.act as u8,
                posting.debit as i64,
                posting.credit as i64,
                posting.fen as i64,
                posting.about as i64,
                posting.request as i64,
                posting.hash as i64,
                posting.at_ms as i64,
                posting.source.0 as i64,
                None::<&[u8]>,
                posting.hash as i64,
            ))?;
        }
        drop(insert);
        Ok(transaction.commit()?)
    }
}

fn ours(ledger: &mut dyn Ledger, group: &[u8]) -> Result<()> {
    match ledger.commit(group) {
        Outcome::Durable { .. } => Ok(()),
        other => bail!("{other:?}"),
    }
}

fn measure(arguments: &Arguments, size: usize) -> Result<String> {
    let turn = Duration::from_secs_f64(arguments.seconds);
    let place = Place { segment_bytes: arguments.segment_mib << 20, ..Place::new(&arguments.dir.join("ledger")) };
    let mut ledger = sqlite::open(&place, &mut ())?.ledger;
    let mut bare = Bare::open(&arguments.dir.join("bare.db"), 0)?;
    let mut auto = Bare::open(&arguments.dir.join("auto.db"), 1000)?;
    let mut figures: [Figures; 3] = std::array::from_fn(|_| Figures::default());
    let mut streams: [Stream; 3] = std::array::from_fn(|_| Stream::new());
    for _ in 0..arguments.rounds {
        figures[0].turn(&mut streams[0], size, turn, |group| ours(&mut *ledger, group))?;
        figures[1].turn(&mut streams[1], size, turn, |group| bare.commit(group))?;
        figures[2].turn(&mut streams[2], size, turn, |group| auto.commit(group))?;
    }
    ledger.close()?;
    let segments = std::fs::read_dir(&place.dir)?.flatten();
    let segments = segments.filter(|entry| entry.path().extension().is_some_and(|end| end == "db")).count() - 2;
    let rates = figures.each_mut().map(Figures::median_rate);
    let latencies: Vec<String> =
        ["ours", "bare", "auto"].iter().zip(&mut figures).map(|(name, figures)| figures.latencies(name)).collect();
    Ok(format!(
        "group={size} ours_per_s={:.0} bare_per_s={:.0} auto_per_s={:.0} ratio={:.3} segments={segments} {}",
        rates[0],
        rates[1],
        rates[2],
        rates[0] / rates[1],
        latencies.join(" ")
    ))
}

/// How long the opening of a ledger of so many postings takes, none of which a projection holds.
fn opening(arguments: &Arguments, postings: u64) -> Result<String> {
    let place = Place { segment_bytes: arguments.segment_mib << 20, ..Place::new(&arguments.dir.join("ledger")) };
    let mut stream = Stream::new();
    let mut ledger = sqlite::open(&place, &mut ())?.ledger;
    let started = Instant::now();
    while stream.written < postings {
        ours(&mut *ledger, stream.next(4000))?;
    }
    let written = started.elapsed();
    // Dropped, not closed: the last log is as a killed server leaves it.
    drop(ledger);
    let started = Instant::now();
    let opened = sqlite::open(&place, &mut ())?;
    let (took, position) = (started.elapsed(), opened.ledger.end().position);
    Ok(format!("open={position} write_s={:.2} open_s={:.2}", written.as_secs_f64(), took.as_secs_f64()))
}

/// Commits at a steady rate until told to stop; what each took.
fn paced(
    ledger: &mut dyn Ledger,
    stream: &mut Stream,
    size: usize,
    rate: f64,
    done: &dyn Fn() -> bool,
) -> Result<Vec<f64>> {
    let (begun, mut commits_us) = (Instant::now(), Vec::new());
    while !done() {
        let due = Duration::from_secs_f64(commits_us.len() as f64 * size as f64 / rate);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let group = stream.next(size);
        let started = Instant::now();
        ours(ledger, group)?;
        commits_us.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(commits_us)
}

/// What a backup takes, and what it does to commits beside it.
fn backing_up(arguments: &Arguments, postings: u64) -> Result<String> {
    let (from, to) = (arguments.dir.join("ledger"), arguments.dir.join("copy"));
    let place = Place { segment_bytes: arguments.segment_mib << 20, ..Place::new(&from) };
    let (mut stream, size) = (Stream::new(), arguments.groups[0]);
    let mut ledger = sqlite::open(&place, &mut ())?.ledger;
    while stream.written < postings {
        ours(&mut *ledger, stream.next(4000))?;
    }
    let mut figures: [Figures; 2] = std::array::from_fn(|_| Figures::default());
    let (mut seconds, mut bytes, mut longest) = (Vec::new(), 0, [Vec::new(), Vec::new()]);
    for _ in 0..arguments.rounds {
        let started = Instant::now();
        let copying = std::thread::spawn({
            let (from, to) = (from.clone(), to.clone());
            move || backup(&from, &to, &mut |_, _| {})
        });
        let beside = paced(&mut *ledger, &mut stream, size, arguments.rate, &|| copying.is_finished())?;
        let took = started.elapsed();
        let copied = copying.join().map_err(|_| anyhow::anyhow!("the backup panicked"))??;
        (bytes, seconds) = (copied.bytes, [seconds, vec![took.as_secs_f64()]].concat());
        std::fs::remove_dir_all(&to)?;
        let started = Instant::now();
        let alone = paced(&mut *ledger, &mut stream, size, arguments.rate, &|| started.elapsed() > took)?;
        for (at, commits_us) in [beside, alone].into_iter().enumerate() {
            longest[at].push(commits_us.iter().copied().fold(0.0, f64::max).round());
            figures[at].commits_us.extend(commits_us);
        }
    }
    ledger.close()?;
    seconds.sort_by(f64::total_cmp);
    let latencies = [("beside", 0), ("alone", 1)].map(|(name, at)| figures[at].latencies(name)).join(" ");
    Ok(format!(
        "backup={postings} group={size} rate={} mb={:.0} median_s={:.2} {latencies} longest_beside_us={:?} longest_alone_us={:?}",
        arguments.rate,
        bytes as f64 / 1e6,
        seconds[seconds.len() / 2],
        longest[0],
        longest[1]
    ))
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    if let Some(postings) = arguments.backup {
        let line = backing_up(&arguments, postings);
        std::fs::remove_dir_all(&arguments.dir)?;
        println!("{}", line?);
        return Ok(());
    }
    if let Some(count) = arguments.ask {
        let line = ask::asking(&arguments, count);
        std::fs::remove_dir_all(&arguments.dir)?;
        println!("{}", line?);
        return Ok(());
    }
    if let Some(postings) = arguments.open {
        let line = opening(&arguments, postings);
        std::fs::remove_dir_all(&arguments.dir)?;
        println!("{}", line?);
        return Ok(());
    }
    for size in &arguments.groups {
        std::fs::create_dir_all(&arguments.dir).with_context(|| arguments.dir.display().to_string())?;
        let line = measure(&arguments, *size);
        std::fs::remove_dir_all(&arguments.dir)?;
        println!("{}", line?);
    }
    Ok(())
}
