//! The log of latencies, an interval per second, as HdrHistogram's tools read it: shakes and requests for money by tag.
//!
//! It is written while the run goes on, so that what was measured is there however the run ends.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use super::Packed;
use crate::fleet::Fleet;

/// A log under way.
pub struct LatencyLog {
    path: PathBuf,
    file: BufWriter<File>,
    start_us: u64,
}

impl LatencyLog {
    /// Begins a log; `start_us` is in microseconds since 1970.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(path: &Path, start_us: u64) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut log = Self { path: path.to_path_buf(), file: BufWriter::new(file), start_us };
        let start_s = start_us as f64 / 1e6;
        log.line(&format!(
            "#latencies in microseconds, from the due time: shakes, and packets and grabs (money)\n\
             #[Histogram log format version 1.3]\n\
             #[StartTime: {start_s:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
        ))?;
        Ok(log)
    }

    /// Writes the second that ends at `now_us`, before the fleet turns it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, now_us: u64, fleet: &Fleet) -> Result<()> {
        // At the turn of a phase two records have latencies of the same second.
        for record in &fleet.records {
            self.interval("shakes", now_us, &record.latency_second_us)?;
            self.interval("money", now_us, &record.money_latency_second_us)?;
        }
        self.file.flush().with_context(|| format!("writing {}", self.path.display()))
    }

    fn interval(&mut self, tag: &str, now_us: u64, histogram: &Histogram<u64>) -> Result<()> {
        if histogram.is_empty() {
            return Ok(());
        }
        let start_s = now_us.saturating_sub(self.start_us + 1_000_000) as f64 / 1e6;
        let (max, packed) = (histogram.max(), Packed::of(histogram));
        self.line(&format!("Tag={tag},{start_s:.3},1.000,{max}.000,{}", packed.text()))
    }

    fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.file, "{text}").with_context(|| format!("writing {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::fleet::alone::alone;
    use crate::record::PhaseRecord;

    #[test]
    fn the_log_is_read_back_by_the_library_that_knows_the_format() {
        let path = std::env::temp_dir().join(format!("rp-client-log-{}.hlog", std::process::id()));
        let (mut fleet, _) = alone();
        fleet.records = vec![PhaseRecord::new("shake", 100, 2, 10)];
        fleet.records[0].answered(100_000_000, 100_000_500);
        fleet.records[0].moved_money(100_000_000, 100_004_000);
        let mut log = LatencyLog::begin(&path, 100_000_000).expect("a temporary file");
        log.write(101_000_000, &fleet).expect("a temporary file");
        fleet.turn_second(100);
        log.write(102_000_000, &fleet).expect("a second without answers has no line");
        let bytes = std::fs::read(&path).expect("it was written");
        std::fs::remove_file(&path).expect("it is ours");
        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(&bytes) {
            if let LogEntry::Interval(interval) = entry.expect("a line that is read") {
                let packed: Packed = serde_json::from_value(interval.encoded_histogram().into()).expect("a text");
                let tag = interval.tag().expect("all have one").as_str().to_string();
                seen.push((tag, interval.start_timestamp().as_secs(), packed.unpacked().expect("whole").max()));
            }
        }
        assert_eq!(seen, [("shakes".to_string(), 0, 500), ("money".to_string(), 0, 4001)]);
        assert_eq!(fleet.records[0].latency_per_second.len(), 1);
    }
}
