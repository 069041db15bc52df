//! A picture of a run: every number that the view shows, copied from where they are counted, so that drawing needs neither.

use std::collections::VecDeque;

use crate::conductor::Conductor;
use crate::conductor::progress::Progress;
use crate::fleet::Fleet;

use super::sums::Sums;

/// Seconds that are remembered.
pub const SECONDS_MAX: usize = 300;

/// One second.
#[derive(Clone, Copy, Default, Debug)]
#[allow(missing_docs)]
pub struct Second {
    pub due: u64,
    pub sent: u64,
    pub answered: u64,
    pub prizes: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
}

/// What is shown.
#[derive(Clone, Default, Debug)]
#[allow(missing_docs)]
pub struct Picture {
    pub title: String,
    pub elapsed_s: u64,
    pub progress: Progress,
    pub users: u64,
    pub sums: Sums,
    pub logins_again: u64,
    pub prizes_fen: u64,
    pub packets_fen: u64,
    pub shares_fen: u64,
    pub refunded: u64,
    pub outstanding: u64,
    pub clock_offset_us: Option<i64>,
    pub is_sealed: Option<bool>,
    pub seconds: VecDeque<Second>,
    pub is_stopping: bool,
}

/// Makes pictures.
pub struct Painter {
    title: String,
    start_us: u64,
    last: Sums,
    seconds: VecDeque<Second>,
}

impl Painter {
    /// Begins at `now_us`.
    pub fn new(title: &str, now_us: u64) -> Self {
        let seconds = VecDeque::with_capacity(SECONDS_MAX + 1);
        Self { title: title.to_string(), start_us: now_us, last: Sums::default(), seconds }
    }

    /// A second has ended; its latencies are still apart.
    pub fn turn_second(&mut self, fleet: &Fleet) {
        let (now, last) = (Sums::of(fleet), self.last);
        self.last = now;
        let mut second = Second {
            due: now.due - last.due,
            sent: now.sent.saturating_sub(last.sent),
            answered: now.answered - last.answered,
            prizes: now.prizes - last.prizes,
            ..Second::default()
        };
        // At the turn of a phase most answers are still those of the phase before.
        if let Some(record) = fleet.records.iter().max_by_key(|record| record.latency_second_us.len()) {
            let at = |share: f64| record.latency_second_us.value_at_quantile(share);
            (second.p50_us, second.p99_us, second.p999_us) = (at(0.5), at(0.99), at(0.999));
        }
        self.seconds.push_back(second);
        if self.seconds.len() > SECONDS_MAX {
            self.seconds.pop_front();
        }
    }

    /// Copies everything.
    pub fn paint(&self, now_us: u64, fleet: &Fleet, conductor: &Conductor) -> Picture {
        Picture {
            title: self.title.clone(),
            elapsed_s: (now_us - self.start_us) / 1_000_000,
            progress: conductor.progress(now_us, fleet),
            users: fleet.count().into(),
            sums: Sums::of(fleet),
            logins_again: fleet.login.retries,
            prizes_fen: fleet.books.prizes.fen,
            packets_fen: fleet.books.packets.fen,
            shares_fen: fleet.books.shares.fen,
            refunded: fleet.books.refunded.count,
            outstanding: fleet.outstanding(),
            clock_offset_us: fleet.clock_offset.map(|(us, _)| us),
            is_sealed: fleet.is_sealed,
            seconds: self.seconds.clone(),
            is_stopping: rp_net::stop::requested(),
        }
    }
}
