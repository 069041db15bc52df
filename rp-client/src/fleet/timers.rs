//! Timers for a few fixed delays: one queue each, so that arming and expiry cost a few instructions.
//!
//! A delay is rounded up to the next lane: 100 ms, 200 ms, 400 ms and so on to 25.6 s. Timers are not cancelled; each
//! carries a stamp, and its owner ignores it when the stamp is out of date.

use std::collections::VecDeque;

const LANES: usize = 9;
/// The shortest delay, in microseconds; each lane's is twice the one before.
pub const LANE_FIRST_US: u64 = 100_000;

/// Whom a timer wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A session, by index.
    Session(u32),
    /// A request that moves money, by its place in the pool.
    Money(u32),
}

#[derive(Clone, Copy)]
struct Timer {
    at_us: u64,
    target: Target,
    stamp: u32,
}

/// The lanes.
#[derive(Default)]
pub struct Timers {
    lanes: [VecDeque<Timer>; LANES],
}

impl Timers {
    /// Arms a timer, `delay_us` from now or up to twice as late.
    pub fn arm(&mut self, now_us: u64, delay_us: u64, target: Target, stamp: u32) {
        let lane = (0..LANES - 1).find(|lane| LANE_FIRST_US << lane >= delay_us).unwrap_or(LANES - 1);
        self.lanes[lane].push_back(Timer { at_us: now_us + (LANE_FIRST_US << lane), target, stamp });
    }

    /// The next timer that is due, with its stamp.
    pub fn pop(&mut self, now_us: u64) -> Option<(Target, u32)> {
        let lane = self.lanes.iter_mut().find(|lane| lane.front().is_some_and(|timer| timer.at_us <= now_us))?;
        lane.pop_front().map(|timer| (timer.target, timer.stamp))
    }

    /// When the next timer is due; the far future when none is armed.
    pub fn next_us(&self) -> u64 {
        self.lanes.iter().filter_map(|lane| lane.front().map(|timer| timer.at_us)).min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_at_their_lane_and_not_before() {
        let mut timers = Timers::default();
        for (i, delay) in [200_000, 100_001, 30_000_000, 1].into_iter().enumerate() {
            timers.arm(0, delay, Target::Session(i as u32), 7);
        }
        let mut expired = Vec::new();
        while timers.next_us() != u64::MAX {
            let now = timers.next_us();
            assert_eq!(timers.pop(now - 1), None);
            let (target, stamp) = timers.pop(now).expect("it is due");
            assert_eq!(stamp, 7);
            expired.push((now, target));
        }
        let expected = [(100_000, 3), (200_000, 0), (200_000, 1), (25_600_000, 2)];
        assert_eq!(expired, expected.map(|(at, i)| (at, Target::Session(i))));
    }
}
