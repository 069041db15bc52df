//! One-second windows: what a subject's CPU did, and how many replies came of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ground::{Ground, Subject};
use crate::answers::Phase;

/// Share of a second that others may have of the subject's CPU before a window counts as disturbed.
const OTHERS_MAX: f64 = 0.1;

/// CPU readings at the beginnings of unix seconds.
#[derive(Default)]
pub struct Meter {
    readings: BTreeMap<u64, Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    at_us: u64,
    cpu_ns: [u64; 2],
    idle_ns: u64,
}

/// One second of one subject under load.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Window {
    /// Unix time.
    pub second: u64,
    /// Shakes answered.
    pub answered: u64,
    /// CPU time of the subject per answer, in microseconds.
    pub cpu_us: f64,
    /// Share of the subject's CPU that neither it nor idling had.
    pub others: f64,
}

impl Window {
    /// Nobody else used the subject's CPU to speak of.
    pub fn is_quiet(&self) -> bool {
        self.others <= OTHERS_MAX
    }
}

impl Meter {
    /// Reads the clocks of both subjects.
    pub fn read(&mut self, ground: &Ground, second: u64) {
        let reading = Reading {
            at_us: crate::machine::unix_us(),
            cpu_ns: Subject::ALL.map(|subject| ground.cpu_ns(subject)),
            idle_ns: ground.idle_ns(),
        };
        self.readings.insert(second, reading);
    }

    /// The windows of a phase, but for its first and its last second.
    pub fn windows(&self, phase: &Phase, subject: Subject) -> Vec<Window> {
        let inner = phase.per_second.len().saturating_sub(1);
        let seconds = phase.per_second.iter().take(inner).skip(1);
        seconds.filter_map(|row| self.window(row.second, row.answered, subject)).collect()
    }

    fn window(&self, second: u64, answered: u64, subject: Subject) -> Option<Window> {
        let (first, last) = (self.readings.get(&second)?, self.readings.get(&(second + 1))?);
        let length = (last.at_us - first.at_us) as f64 / 1e6;
        let used: u64 = (0..2).map(|index| last.cpu_ns[index] - first.cpu_ns[index]).sum();
        let idle = last.idle_ns.saturating_sub(first.idle_ns);
        let others = 1.0 - (used + idle) as f64 / 1e9 / length;
        let cpu_ns = last.cpu_ns[subject as usize] - first.cpu_ns[subject as usize];
        let cpu_us = cpu_ns as f64 / 1000.0 / length / answered.max(1) as f64;
        (answered > 0).then_some(Window { second, answered, cpu_us, others })
    }
}

/// The middle value; of an even number of values, the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, middle) in
            [(vec![], None), (vec![3.0], Some(3.0)), (vec![9.0, 1.0], Some(5.0)), (vec![5.0, 1.0, 100.0], Some(5.0))]
        {
            assert_eq!(median(values.clone()), middle, "{values:?}");
        }
    }

    #[test]
    fn a_disturbed_second_is_told_from_a_quiet_one() {
        let mut meter = Meter::default();
        let reading = |at_us, server, idle_ns| Reading { at_us, cpu_ns: [server, 0], idle_ns };
        meter.readings.insert(10, reading(10_000_000, 0, 0));
        meter.readings.insert(11, reading(11_000_000, 300_000_000, 690_000_000));
        meter.readings.insert(12, reading(12_000_000, 600_000_000, 900_000_000));
        let quiet = meter.window(10, 60_000, Subject::Server).expect("only 1 % is missing");
        assert!((quiet.cpu_us - 5.0).abs() < 1e-9, "{quiet:?}");
        assert!(quiet.is_quiet(), "{quiet:?}");
        let disturbed = meter.window(11, 60_000, Subject::Server).expect("both readings are there");
        assert!(!disturbed.is_quiet(), "half of the CPU went to others: {disturbed:?}");
        assert!(meter.window(12, 60_000, Subject::Server).is_none(), "no reading at its end");
    }
}
