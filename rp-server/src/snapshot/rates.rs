//! What happens per second: the difference of two readings of the counters by the time between them.

use std::collections::BTreeMap;

use rp_core::gate_counters::{Counts, Place};
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use serde::Serialize;

use crate::sight::Status;

/// Totals of which rates are made.
#[derive(Clone, Default)]
pub struct Totals {
    asked: u64,
    kernel_answered: u64,
    workers_answered: u64,
    logins: u64,
    dropped: Vec<u64>,
    prizes_released: u64,
    prizes_got: u64,
    packets_made: u64,
    shares_taken: u64,
    packets_refunded: u64,
}

/// Per second.
#[derive(Clone, Serialize)]
pub struct Rates {
    /// Requests of a known kind: those that ended at the gate, and those that a worker received.
    pub asked_per_s: f64,
    /// Requests answered, by gate or worker.
    pub answered_per_s: f64,
    /// Of them by the gate.
    pub kernel_answered_per_s: f64,
    /// Of them by the workers.
    pub workers_answered_per_s: f64,
    /// Sessions opened.
    pub logins_per_s: f64,
    /// Datagrams dropped by gate or worker, by reason.
    pub dropped: BTreeMap<&'static str, f64>,
    /// Prizes released by the campaign.
    pub prizes_released_per_s: f64,
    /// Prizes won.
    pub prizes_got_per_s: f64,
    /// Packets made.
    pub packets_made_per_s: f64,
    /// Shares taken.
    pub shares_taken_per_s: f64,
    /// Packets that came back.
    pub packets_refunded_per_s: f64,
}

impl Totals {
    /// The totals of a status, and of the gate if there is one.
    pub fn of(status: &Status, kernel: Option<&Counts>) -> Totals {
        let requests = || Kind::ALL.iter().copied().filter(|kind| kind.is_request());
        let heard = requests().filter_map(|kind| status.received.get(kind.name())).sum::<u64>();
        let at_gate = |counts: &Counts| {
            let seen: u64 = requests().map(|kind| counts.kind(kind).datagrams).sum();
            let went_up: u64 = requests().map(|kind| counts.up(kind).datagrams).sum();
            seen.saturating_sub(went_up)
        };
        let dropped = |reason: &Reason| {
            let by_gate = kernel.map_or(0, |counts| counts.reason(*reason).datagrams);
            by_gate + status.dropped.get(reason.name()).copied().unwrap_or(0)
        };
        // Whether it leaves at once or behind a commit, an answer is an answer; a notice was not asked for.
        let is_answer = |kind: &&Kind| !kind.is_request() && !matches!(kind, Kind::Notice | Kind::PathChallenge);
        let said = Kind::ALL.iter().filter(is_answer).filter_map(|kind| status.sent.get(kind.name())).sum();
        let money = &status.money;
        Totals {
            asked: heard + kernel.map_or(0, at_gate),
            kernel_answered: kernel.map_or(0, |counts| counts.place(Place::Answered).datagrams),
            workers_answered: said,
            logins: status.logins,
            dropped: Reason::ALL.iter().map(dropped).collect(),
            prizes_released: money.prizes_released.count,
            prizes_got: money.prizes.count,
            packets_made: money.made.count,
            shares_taken: money.taken.count,
            packets_refunded: money.refunded.count,
        }
    }

    /// Per second, since earlier totals.
    pub fn since(&self, earlier: &Totals, seconds: f64) -> Rates {
        // Counters of several CPUs are read one after another: a sum may seem to fall by what was under way.
        let rate = |later: u64, earlier: u64| (later.saturating_sub(earlier) as f64 / seconds * 10.0).round() / 10.0;
        let by = |total: fn(&Totals) -> u64| rate(total(self), total(earlier));
        let before = |at: usize| earlier.dropped.get(at).copied().unwrap_or(0);
        let dropped = self.dropped.iter().enumerate().map(|(at, count)| rate(*count, before(at)));
        Rates {
            asked_per_s: by(|totals| totals.asked),
            answered_per_s: by(|totals| totals.kernel_answered + totals.workers_answered),
            kernel_answered_per_s: by(|totals| totals.kernel_answered),
            workers_answered_per_s: by(|totals| totals.workers_answered),
            logins_per_s: by(|totals| totals.logins),
            dropped: Reason::ALL.iter().map(|reason| reason.name()).zip(dropped).collect(),
            prizes_released_per_s: by(|totals| totals.prizes_released),
            prizes_got_per_s: by(|totals| totals.prizes_got),
            packets_made_per_s: by(|totals| totals.packets_made),
            shares_taken_per_s: by(|totals| totals.shares_taken),
            packets_refunded_per_s: by(|totals| totals.packets_refunded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_difference_by_the_time() {
        let earlier = Totals { asked: 100, kernel_answered: 40, workers_answered: 20, ..Totals::default() };
        let mut later = Totals { asked: 350, kernel_answered: 140, workers_answered: 19, ..earlier.clone() };
        later.dropped = vec![0; Reason::ALL.len()];
        later.dropped[Reason::BadTag.index()] = 5;
        let rates = later.since(&earlier, 2.0);
        assert_eq!((rates.asked_per_s, rates.kernel_answered_per_s, rates.workers_answered_per_s), (125.0, 50.0, 0.0));
        assert_eq!((rates.answered_per_s, rates.dropped["bad_tag"], rates.dropped["denied"]), (49.5, 2.5, 0.0));
    }
}
