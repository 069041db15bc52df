//! How far a run is, and how long it will still take.

use super::{Conductor, Stage};
use crate::fleet::Fleet;

/// Log-ins of less time tell nothing of their speed.
const SPEED_AFTER_US: u64 = 500_000;

/// Where a run stands.
#[derive(Clone, Default, Debug)]
pub struct Progress {
    /// What is under way.
    pub stage: String,
    /// Its number among the phases, from 1; none before and after them.
    pub number: Option<usize>,
    /// Phases in all.
    pub phases: usize,
    /// How much of it is done, 0 to 1, if that can be said.
    pub share: Option<f64>,
    /// Seconds that it will still take, if that can be said.
    pub left_s: Option<u64>,
    /// Seconds that it takes in all, if it has a schedule.
    pub seconds: Option<u32>,
    /// Seconds until it begins; all machines begin together.
    pub begins_in_s: u64,
    /// Seconds that the whole run will still take, without what lasts as long as it takes.
    pub whole_left_s: Option<u64>,
    /// What is known of the books.
    pub books: &'static str,
}

impl Conductor {
    /// How far it is.
    pub fn progress(&self, now_us: u64, fleet: &Fleet) -> Progress {
        let now_s = now_us / 1_000_000;
        let mut progress = Progress {
            stage: self.stage_name().to_string(),
            phases: self.plan.phases.len(),
            books: self.books(),
            ..Progress::default()
        };
        match self.stage {
            Stage::Auditors | Stage::ReadBefore => progress.whole_left_s = None,
            Stage::Untimed(i) => {
                progress.number = Some(i + 1);
                let all = fleet.count().max(1);
                let is_login = matches!(self.plan.phases[i].action, crate::scenario::Action::Login);
                let done = if is_login { fleet.up + fleet.dead } else { all - fleet.up.min(all) };
                progress.share = Some(f64::from(done) / f64::from(all));
                progress.left_s = at_that_speed(done, all, now_us.saturating_sub(self.since_us));
                let until_start_s = self.plan.start_at_s.map_or(0, |start_s| start_s.saturating_sub(now_s));
                progress.whole_left_s = progress.left_s.map(|left_s| left_s.max(until_start_s) + self.seconds_after(i));
            }
            Stage::Timed(i) => {
                let seconds = u64::from(self.plan.phases[i].seconds);
                let (share, left_s) = by_schedule(self.start_s, seconds, now_s);
                progress.number = Some(i + 1);
                progress.seconds = Some(self.plan.phases[i].seconds);
                progress.begins_in_s = self.start_s.saturating_sub(now_s);
                progress.share = Some(share);
                progress.left_s = Some(left_s);
                progress.whole_left_s = Some(progress.begins_in_s + left_s + self.seconds_after(i));
            }
            Stage::Drain | Stage::ReadAfter | Stage::Dismiss | Stage::Done => progress.whole_left_s = Some(0),
        }
        progress
    }

    fn seconds_after(&self, i: usize) -> u64 {
        self.plan.phases[i + 1..].iter().map(|phase| u64::from(phase.seconds)).sum()
    }

    fn books(&self) -> &'static str {
        match (self.stage, self.plan.reconcile) {
            (_, false) => "not to be compared (--no-reconcile)",
            (Stage::ReadAfter, _) => "being compared with the server's",
            (Stage::Dismiss | Stage::Done, _) if self.reconciled.ok => "agree with the server's",
            (Stage::Dismiss | Stage::Done, _) => "do NOT agree with the server's",
            _ => "are compared at the end",
        }
    }
}

/// Seconds that what is done one by one will still take, if its speed can be told.
fn at_that_speed(done: u32, all: u32, took_us: u64) -> Option<u64> {
    let left_us = took_us as f64 / f64::from(done) * f64::from(all.saturating_sub(done));
    (took_us > SPEED_AFTER_US && done > 0).then_some((left_us / 1e6).ceil() as u64)
}

/// How much of a phase is over, and its seconds to come; nothing before it has begun.
fn by_schedule(start_s: u64, seconds: u64, now_s: u64) -> (f64, u64) {
    let left_s = (start_s + seconds).saturating_sub(now_s).min(seconds);
    (1.0 - left_s as f64 / seconds.max(1) as f64, left_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_speed_or_schedule() {
        assert_eq!(at_that_speed(250, 1000, 2_000_000), Some(6));
        assert_eq!(at_that_speed(1000, 1000, 9_000_000), Some(0));
        assert_eq!(at_that_speed(0, 1000, 9_000_000), None, "nobody knows");
        assert_eq!(at_that_speed(900, 1000, 100_000), None, "not yet");
        assert_eq!(by_schedule(100, 20, 90), (0.0, 20), "it is waited for");
        assert_eq!(by_schedule(100, 20, 105), (0.25, 15));
        assert_eq!(by_schedule(100, 20, 130), (1.0, 0));
    }
}
