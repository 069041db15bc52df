//! Sums of all phases, to be compared with those of a second ago.

use crate::fleet::Fleet;

/// The sums.
#[derive(Clone, Copy, Default, Debug)]
#[allow(missing_docs)]
pub struct Sums {
    pub due: u64,
    pub sent: u64,
    pub answered: u64,
    pub refused: u64,
    pub lost: u64,
    pub retries: u64,
    pub late: u64,
    pub late_us_max: u64,
    pub prizes: u64,
    pub packets: u64,
    pub shares: u64,
    pub up: u64,
}

impl Sums {
    /// As they are.
    pub fn of(fleet: &Fleet) -> Self {
        let mut sums = Self {
            prizes: fleet.books.prizes.count,
            packets: fleet.books.packets.count,
            shares: fleet.books.shares.count,
            up: fleet.up.into(),
            ..Self::default()
        };
        for record in &fleet.records {
            let shakes = &record.shakes;
            sums.due += shakes.due;
            sums.sent += shakes.sent;
            sums.answered += shakes.answered;
            sums.refused += shakes.refused;
            sums.lost += shakes.lost;
            sums.retries += shakes.retries;
            sums.late += record.generator_late;
            sums.late_us_max = sums.late_us_max.max(record.generator_late_us_max);
        }
        sums
    }
}
