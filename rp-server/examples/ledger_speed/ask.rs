//! What answers from closed files cost, and their indices.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rp_core::engine::asks::{Ask, DetailAsk, HistoryAsk, Reader};
use rp_core::limits::DATAGRAM_MAX;
use rp_core::wire::Peer;
use rp_server::ledger::schema::segment_indices;
use rp_server::ledger::{Place, sqlite};
use rusqlite::Connection;

use super::{Arguments, Stream, ours};

/// Bytes of the ledger's files of postings, and whether all but the last have indices.
fn files(dir: &Path, last: u32) -> Result<(u64, bool)> {
    let (mut bytes, mut indexed) = (0, true);
    for number in 1..last {
        let file = dir.join(Place::segment_name(number));
        bytes += std::fs::metadata(&file)?.len();
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'index'";
        indexed &= Connection::open(&file)?.query_one(sql, [], |row| row.get::<_, i64>(0))? == 2;
    }
    Ok((bytes, indexed))
}

/// What answers from a ledger of so many closed files cost, in microseconds.
pub fn asking(arguments: &Arguments, count: u32) -> Result<String> {
    let place = Place { segment_bytes: arguments.segment_mib << 20, ..Place::new(&arguments.dir.join("ledger")) };
    let (mut stream, mut opened) = (Stream::new(), sqlite::open(&place, &mut ())?);
    while !place.dir.join(Place::segment_name(count + 2)).exists() {
        ours(&mut *opened.ledger, stream.next(1000))?;
    }
    while !files(&place.dir, count + 1)?.1 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut finder = opened.finder.context("it keeps postings")?;
    let mut out = [0; DATAGRAM_MAX];
    let reader = |user| Reader {
        user,
        set: 0,
        request: 1,
        counter: 1,
        key: [1; 16],
        sealing: Some([2; 32]),
        session: 1,
        peer: Peer::default(),
        door: 0,
    };
    let mut ask = |ask: Ask| -> Result<f64> {
        let started = Instant::now();
        finder.answer(&ask, &mut out)?;
        Ok(started.elapsed().as_secs_f64() * 1e6)
    };
    let history = |number: u64| {
        let user = 1_000_000 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_000;
        Ask::History(HistoryAsk { reader: reader(user), before: 0 })
    };
    let detail = |number: u64| {
        let packet = 1 << 40 | number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 30;
        Ask::Detail(DetailAsk { reader: reader(1), packet, first: 0 })
    };
    let first_us = ask(history(1))?;
    let mut line = format!("ask={count} postings={} first_us={first_us:.0}", stream.written);
    let of: [(&str, &dyn Fn(u64) -> Ask); 2] = [("history", &history), ("detail", &detail)];
    for (name, of) in of {
        let mut us = (1..=2000).map(|n| ask(of(n * stream.written / 2001))).collect::<Result<Vec<f64>>>()?;
        us.sort_by(f64::total_cmp);
        let _ =
            write!(line, " {name}_p50_us={:.1} {name}_p99_us={:.1} {name}_max_us={:.0}", us[1000], us[1980], us[1999]);
    }
    drop(opened.ledger);
    Ok(format!("{line} {}", indexing(&place, count)?))
}

/// What the indices of closed files cost: each file's are dropped and made once more.
fn indexing(place: &Place, count: u32) -> Result<String> {
    let with = files(&place.dir, count + 1)?.0;
    let (mut without, mut ms) = (0, Vec::new());
    for number in 1..=count {
        let path = place.dir.join(Place::segment_name(number));
        let file = Connection::open(&path)?;
        file.pragma_update(None, "temp_store", "MEMORY")?;
        file.execute_batch("DROP INDEX posting_debit; DROP INDEX posting_credit; VACUUM;")?;
        file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        without += std::fs::metadata(&path)?.len();
        let started = Instant::now();
        file.execute_batch(&format!("BEGIN; {} COMMIT; PRAGMA wal_checkpoint(TRUNCATE)", segment_indices()))?;
        ms.push(started.elapsed().as_secs_f64() * 1e3);
    }
    ms.sort_by(f64::total_cmp);
    let (mib, growth) = (without >> 20, with as f64 / without as f64 - 1.0);
    Ok(format!(
        "index_p50_ms={:.0} index_max_ms={:.0} mib={mib} growth={growth:.3}",
        ms[ms.len() / 2],
        ms[ms.len() - 1]
    ))
}
