//! How long something took, counted in buckets: one writer, readers at any time, no lock.
//!
//! The buckets are log-linear: whole microseconds up to 64, then 32 to each doubling, so a figure read from them is at most
//! 3 % above what was counted. What took a minute and more counts in the last.

use rp_core::engine::books::Counter;

/// Buckets to each doubling, as a power of two.
const STEP_BITS: u32 = 5;
const STEPS: usize = 1 << STEP_BITS;
/// Times below two to this power of microseconds have a bucket of their own: 67 s.
const TOP_BITS: u32 = 26;
/// Buckets.
pub const BUCKETS: usize = (TOP_BITS - STEP_BITS + 1) as usize * STEPS;

/// The bucket of a time.
#[inline]
fn bucket_of(us: u64) -> usize {
    let us = us.min((1 << TOP_BITS) - 1);
    let doublings = (us | STEPS as u64).ilog2() - STEP_BITS;
    (doublings as usize) * STEPS + (us >> doublings) as usize
}

/// The longest time in a bucket.
fn longest_in(bucket: usize) -> u64 {
    let doublings = (bucket / STEPS).saturating_sub(1) as u32;
    let step = (bucket - doublings as usize * STEPS) as u64;
    ((step + 1) << doublings) - 1
}

/// Times that one thread counts.
pub struct Histogram {
    buckets: Box<[Counter]>,
    sum_us: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Counter::default()).collect(), sum_us: Counter::default() }
    }
}

impl Histogram {
    /// So many took so long; only the owning thread may call it.
    #[inline]
    pub fn count(&self, us: u64, times: u64) {
        self.buckets[bucket_of(us)].add(times);
        self.sum_us.add(us.wrapping_mul(times));
    }

    /// All that was counted.
    pub fn read(&self) -> Times {
        Times { buckets: self.buckets.iter().map(Counter::read).collect(), sum_us: self.sum_us.read() }
    }
}

/// What a histogram, or several, counted.
#[derive(Clone)]
pub struct Times {
    buckets: Box<[u64]>,
    /// All times together, in microseconds.
    pub sum_us: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), sum_us: 0 }
    }
}

impl Times {
    /// The sum of two.
    pub fn plus(&self, other: &Times) -> Times {
        self.with(other, u64::wrapping_add)
    }

    /// What was counted after `earlier`.
    pub fn since(&self, earlier: &Times) -> Times {
        self.with(earlier, u64::wrapping_sub)
    }

    fn with(&self, other: &Times, join: impl Fn(u64, u64) -> u64) -> Times {
        let buckets = self.buckets.iter().zip(&other.buckets).map(|(a, b)| join(*a, *b)).collect();
        Times { buckets, sum_us: join(self.sum_us, other.sum_us) }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many took less than so many microseconds, a power of two.
    pub fn below(&self, us: u64) -> u64 {
        debug_assert!(us.is_power_of_two(), "a bucket begins there");
        self.buckets[..bucket_of(us)].iter().sum()
    }

    /// The time that this share of all did not exceed, in microseconds; none when there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(longest_in)
    }

    /// The longest, in microseconds.
    pub fn longest(&self) -> Option<u64> {
        self.buckets.iter().rposition(|count| *count > 0).map(longest_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_its_bucket_and_a_bucket_is_3_percent_wide() {
        let (mut last, mut us) = (0, 0);
        while us < 1 << TOP_BITS {
            let bucket = bucket_of(us);
            assert!(bucket == last || bucket == last + 1, "{us}: from bucket {last} to {bucket}");
            let longest = longest_in(bucket);
            assert!((us..=us + us / 32).contains(&longest), "{us} is in a bucket up to {longest}");
            assert_eq!((bucket_of(longest), bucket_of(longest + 1).min(bucket + 1)), (bucket, bucket_of(longest + 1)));
            last = bucket;
            us += 1 + us / 100;
        }
        assert_eq!((bucket_of(u64::MAX), bucket_of(0)), (BUCKETS - 1, 0));
        assert_eq!(longest_in(BUCKETS - 1), (1 << TOP_BITS) - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let histogram = Histogram::default();
        assert_eq!((histogram.read().quantile(0.5), histogram.read().longest()), (None, None));
        (1..=1000).for_each(|us| histogram.count(us, 2));
        let times = histogram.read();
        for (share, exact) in [(0.0, 1), (0.5, 500), (0.9, 900), (0.99, 990), (1.0, 1000)] {
            let found = times.quantile(share).expect("there are some");
            assert!((exact..=exact + exact / 32).contains(&found), "{share}: {found} for {exact}");
        }
        assert_eq!((times.count(), times.sum_us), (2000, 1_001_000));
        assert_eq!((times.below(1), times.below(32), times.below(512), times.below(1 << 20)), (0, 62, 1022, 2000));
        histogram.count(70_000_000, 1);
        let since = histogram.read().since(&times);
        assert_eq!((since.count(), since.longest()), (1, Some((1 << TOP_BITS) - 1)));
        assert_eq!(times.plus(&since).count(), 2001);
    }
}
