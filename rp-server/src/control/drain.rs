//! The end of a server that lets nothing more in: when what is under way has come to rest, or has had its time.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// What the kernel was about to put into a socket or a queue when these were closed is there by then: one look of it at a queue is
/// of 64 frames.
const SETTLING: Duration = Duration::from_millis(10);

/// How far it is.
pub(super) struct Drain {
    /// The first look that counts.
    from: Instant,
    until: Instant,
    /// In which round each worker had come to rest at the last look.
    rested: Option<Vec<NonZeroU64>>,
}

impl Drain {
    /// Lasts so long at most.
    pub(super) fn begin(now: Instant, longest: Duration) -> Drain {
        Drain { from: now + SETTLING.min(longest), until: now + longest, rested: None }
    }

    /// One look, which finds that all workers rest, and since which round of each, or that they do not: is it over? They rest
    /// when none has gone round from one look to the next: within one look, work may have gone from this to that.
    pub(super) fn is_over(&mut self, rest: Option<Vec<NonZeroU64>>, now: Instant) -> bool {
        let rest = rest.filter(|_| now >= self.from);
        let is_same = rest.is_some() && rest == self.rested;
        self.rested = rest;
        now >= self.until || is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_over_when_nobody_went_round_between_two_looks_in_a_row_that_find_rest() {
        let begun = Instant::now();
        let looks = |after: Duration, looks: &[[u64; 2]]| {
            let mut drain = Drain::begin(begun, LONGEST);
            let rest = |rounds: &[u64; 2]| rounds.iter().map(|round| NonZeroU64::new(*round)).collect();
            looks.iter().map(|rounds| drain.is_over(rest(rounds), begun + after)).collect::<Vec<_>>()
        };
        assert_eq!(looks(SETTLING, &[[7, 9], [7, 9]]), [false, true]);
        assert_eq!(looks(SETTLING, &[[7, 9], [8, 9], [8, 9]]), [false, false, true]);
        assert_eq!(looks(SETTLING, &[[7, 0], [7, 0], [7, 9], [0, 9], [7, 9], [7, 9]])[..5], [false; 5]);
        assert_eq!(looks(SETTLING - Duration::from_nanos(1), &[[7, 9]; 3]), [false; 3]);
    }

    #[test]
    fn it_is_over_when_its_time_is() {
        let begun = Instant::now();
        let is_over = |longest, after| Drain::begin(begun, longest).is_over(None, begun + after);
        assert_eq!([LONGEST - Duration::from_nanos(1), LONGEST].map(|after| is_over(LONGEST, after)), [false, true]);
        assert!(is_over(Duration::ZERO, Duration::ZERO));
    }
}
