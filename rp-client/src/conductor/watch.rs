//! The watch: reads the server's totals at each whole second of a phase, so that a report shows the server's side of it.
//!
//! It asks as the books' auditors do, one datagram a second for each of our addresses. A reading that was lost on the way
//! comes late, and its row says how long it is of.

use crate::audit::Reading;
use crate::fleet::{Fleet, Outbox};
use crate::report::server::ServerSecond;

/// Looks on.
#[derive(Default)]
pub struct Watch {
    asked_s: u64,
    asking: bool,
    last: Option<(u64, Reading)>,
    /// What it saw, by the second.
    pub seconds: Vec<ServerSecond>,
}

impl Watch {
    /// Asks when a second has begun, and takes down what was answered.
    pub fn look(&mut self, now_us: u64, fleet: &mut Fleet, out: &mut impl Outbox) {
        if self.asking
            && let Some(reading) = Reading::join(&fleet.readings, &fleet.books)
        {
            self.asking = false;
            self.take(now_us, reading);
        }
        let now_s = now_us / 1_000_000;
        if now_s > self.asked_s && (!self.asking || now_s > self.asked_s + 1) {
            if !self.asking {
                fleet.readings.fill(None);
            }
            (self.asked_s, self.asking) = (now_s, true);
            for auditor in 0..fleet.readings.len() {
                if fleet.readings[auditor].is_none() {
                    fleet.ask_totals(auditor, now_us, out);
                }
            }
        }
    }

    /// Has a reading been taken down since a Unix second began?
    pub fn has_read(&self, second: u64) -> bool {
        self.last.as_ref().is_some_and(|(then_us, _)| then_us / 1_000_000 >= second)
    }

    fn take(&mut self, now_us: u64, reading: Reading) {
        let second = (now_us / 1_000_000).saturating_sub(1);
        // After a reading that came late, its second has a row: what was counted since is in the row of the next one.
        if self.seconds.last().is_none_or(|row| row.second < second) {
            self.note(now_us, second, reading);
        }
    }

    /// Takes the last reading down, whenever it comes: a second that has a row keeps its count and its time, and what was
    /// counted since is of the next one.
    pub fn close(&mut self, now_us: u64, reading: Reading) {
        let free = self.seconds.last().map_or(0, |row| row.second + 1);
        self.note(now_us, free.max((now_us / 1_000_000).saturating_sub(1)), reading);
    }

    fn note(&mut self, now_us: u64, second: u64, reading: Reading) {
        // A server that was started anew counts from zero.
        if let Some((then_us, before)) = self.last.take().filter(|(_, before)| !reading.is_of_another_start(before)) {
            self.seconds.push(reading.second_since(&before, second, now_us - then_us));
        }
        self.last = Some((now_us, reading));
    }
}

#[cfg(test)]
mod tests {
    use rp_core::kind::Kind;
    use rp_core::wire::TOTALS_WORDS;

    use super::*;
    use crate::books::Books;

    fn reading(shakes: u64) -> Reading {
        let mut words = [0; TOTALS_WORDS];
        words[Kind::Shake.index()] = shakes;
        Reading::join(&[Some(words)], &Books::default()).expect("all have read")
    }

    fn rows(watch: &Watch) -> Vec<(u64, u64, u64)> {
        watch.seconds.iter().map(|row| (row.second, row.span_us, row.shakes)).collect()
    }

    #[test]
    fn the_last_reading_leaves_the_second_before_it_as_it_was() {
        let mut watch = Watch::default();
        watch.take(10_010_000, reading(0));
        watch.take(11_010_000, reading(30));
        assert!(!watch.has_read(12));
        watch.take(12_010_000, reading(60));
        assert!(watch.has_read(12));
        watch.close(12_510_000, reading(61));
        assert_eq!(rows(&watch), [(10, 1_000_000, 30), (11, 1_000_000, 30), (12, 500_000, 1)]);
    }

    #[test]
    fn a_reading_that_came_late_makes_no_second_row_of_its_second() {
        let mut watch = Watch::default();
        for (now_us, shakes) in [(10_000_000, 0), (12_100_000, 63), (12_150_000, 64), (13_000_000, 90)] {
            watch.take(now_us, reading(shakes));
        }
        assert_eq!(rows(&watch), [(11, 2_100_000, 63), (12, 900_000, 27)]);
    }
}
