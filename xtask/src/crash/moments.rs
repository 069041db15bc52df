//! When the server is killed: drawn from a seed, most often soon after it serves, and now and then before.

use std::time::Duration;

/// Of so many kills one hits the server while it starts and reads its ledger back.
const EARLY: u64 = 5;
/// No kill comes sooner after the server serves.
const SOONEST: Duration = Duration::from_millis(2);

/// When to kill.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Moment {
    /// So long after it serves.
    Serving(Duration),
    /// When it has come so far in its start, as a share of the time that the last one took.
    Starting(f64),
}

/// Draws moments.
#[derive(Clone, Debug)]
pub struct Moments {
    state: u64,
    longest: Duration,
}

impl Moments {
    /// From a seed; a server serves for `longest` at most.
    pub fn new(seed: u64, longest: Duration) -> Moments {
        Moments { state: seed, longest }
    }

    /// The next.
    pub fn draw(&mut self) -> Moment {
        let (is_early, share) = (self.number().is_multiple_of(EARLY), self.share());
        if is_early {
            return Moment::Starting(share);
        }
        // Squared: half of the servers serve for less than a quarter of the longest time, when log-ins and retries meet.
        Moment::Serving(SOONEST + self.longest.mul_f64(share * share))
    }

    /// SplitMix64.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_follow_from_the_seed_and_keep_their_bounds() {
        let longest = Duration::from_secs(2);
        let draw = |seed| {
            let mut moments = Moments::new(seed, longest);
            std::iter::repeat_with(move || moments.draw()).take(1000).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut early = 0;
        for moment in draw(3) {
            match moment {
                Moment::Serving(after) => assert!(after >= SOONEST && after <= SOONEST + longest, "{after:?}"),
                Moment::Starting(share) => {
                    early += 1;
                    assert!((0.0..1.0).contains(&share), "{share}");
                }
            }
        }
        assert!((150..250).contains(&early), "a fifth of a thousand: {early}");
    }
}
