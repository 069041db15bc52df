//! Token buckets, as the generic cell rate algorithm: one number, the time at which the bucket is full again.
//!
//! A bucket that is full again at or before now holds its whole burst; each datagram moves the time on by one interval, and
//! one that would move it further ahead than the burst is over the limit.

/// Half of what a session's bucket can tell apart.
const BURST_MS_MAX: u32 = Fill::MASK / 2;

/// How fast a session may ask: one datagram an interval, and so much ahead of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Rate {
    /// Between two datagrams on average; zero is no limit. The unit is the bucket's.
    pub interval: u32,
    /// How far ahead of the average a burst may run, in the same unit.
    pub burst: u32,
}

/// How far two readers of the clock may be apart: a worker reads it once a round.
const SKEW_MS: u32 = 5_000;

impl Rate {
    /// So many a second and so many at once, in milliseconds; zero is no limit. A burst has at most some minutes.
    pub const fn per_second(rate: u32, at_once: u32) -> Rate {
        let Some(interval) = 1000u32.checked_div(rate) else { return Rate::NONE };
        let burst = interval * at_once.saturating_sub(1);
        Rate { interval, burst: if burst > BURST_MS_MAX { BURST_MS_MAX } else { burst } }
    }

    /// No limit.
    pub const NONE: Rate = Rate { interval: 0, burst: 0 };
}

/// A bucket inside a session's word: milliseconds in 20 bits, wrapping after 17 minutes.
///
/// After just so long a silence a bucket that is full may look as if it were not, for as long as a burst lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fill(u32);

impl Fill {
    /// The bits that a bucket has.
    pub const MASK: u32 = (1 << 20) - 1;

    /// The low 20 bits.
    #[inline(always)]
    pub const fn of_bits(bits: u32) -> Fill {
        Fill(bits & Fill::MASK)
    }

    /// As a number below 2^20.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Takes one datagram's share at `now_ms`.
    ///
    /// # Errors
    /// Milliseconds until there is one.
    #[inline(always)]
    pub const fn take(self, rate: Rate, now_ms: u32) -> Result<Fill, u32> {
        if rate.interval == 0 {
            return Ok(self);
        }
        let ahead = self.0.wrapping_sub(now_ms) & Fill::MASK;
        // Further ahead than a bucket can be, though a clock on another CPU be ahead: that time is past.
        let ahead = if ahead > rate.burst + rate.interval + SKEW_MS { 0 } else { ahead };
        if ahead > rate.burst {
            return Err(ahead - rate.burst);
        }
        Ok(Fill::of_bits(now_ms.wrapping_add(ahead).wrapping_add(rate.interval)))
    }
}

/// The same for many at once: nanoseconds in 64 bits.
///
/// # Errors
/// Nanoseconds until there is room.
#[inline(always)]
pub const fn take_shared(full_at_ns: u64, interval_ns: u64, burst_ns: u64, now_ns: u64) -> Result<u64, u64> {
    let ahead = full_at_ns.saturating_sub(now_ns);
    if ahead > burst_ns {
        return Err(ahead - burst_ns);
    }
    Ok(now_ns + ahead + interval_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_A_SECOND: Rate = Rate { interval: 100, burst: 400 };

    fn taken(mut fill: Fill, now_ms: u32, tries: u32) -> (u32, Fill) {
        let mut taken = 0;
        for _ in 0..tries {
            if let Ok(next) = fill.take(TEN_A_SECOND, now_ms) {
                fill = next;
                taken += 1;
            }
        }
        (taken, fill)
    }

    #[test]
    fn a_burst_passes_then_the_rate_rules() {
        for start in [0, 5, Fill::MASK - 150, Fill::MASK / 2 + 9, u32::MAX - 3] {
            let (first, mut fill) = taken(Fill::of_bits(start), start, 100);
            assert_eq!(first, 5, "the first, and a burst of 400 ms ahead of it");
            let mut later = 0;
            for ms in 1..=10_000 {
                let (one, next) = taken(fill, start.wrapping_add(ms), 1);
                fill = next;
                later += one;
            }
            assert_eq!(later, 100, "ten a second for ten seconds");
        }
    }

    #[test]
    fn the_wait_that_is_told_is_enough_and_not_too_long() {
        let (_, fill) = taken(Fill::default(), 0, 100);
        let wait = fill.take(TEN_A_SECOND, 0).expect_err("it is empty");
        assert!(fill.take(TEN_A_SECOND, wait - 1).is_err());
        assert!(fill.take(TEN_A_SECOND, wait).is_ok());
    }

    #[test]
    fn a_long_silence_fills_the_bucket_whatever_the_clock_says() {
        for silence_ms in
            (1000..2_000_000).step_by(997).filter(|ms| (600..Fill::MASK - 600 - SKEW_MS).contains(&(ms & Fill::MASK)))
        {
            let (_, fill) = taken(Fill::of_bits(7), 7, 100);
            assert!(fill.take(TEN_A_SECOND, 7 + silence_ms).is_ok(), "{silence_ms} ms");
        }
    }

    #[test]
    fn a_clock_that_is_a_little_behind_refills_nothing() {
        let (_, fill) = taken(Fill::of_bits(90_000), 90_000, 100);
        for behind_ms in 0..1000 {
            assert!(fill.take(TEN_A_SECOND, 90_000 - behind_ms).is_err(), "{behind_ms} ms");
        }
    }

    #[test]
    fn no_limit_is_none() {
        let mut fill = Fill::default();
        for _ in 0..1000 {
            fill = fill.take(Rate::NONE, 7).expect("no limit");
        }
    }

    #[test]
    fn a_shared_bucket_lets_through_its_rate() {
        let (mut full_at, mut taken) = (0, 0);
        for now_ns in (0..1_000_000_000u64).step_by(1000) {
            if let Ok(next) = take_shared(full_at, 10_000, 100_000, now_ns) {
                (full_at, taken) = (next, taken + 1);
            }
        }
        assert!((100_000..=100_011).contains(&taken), "{taken}");
        assert_eq!(take_shared(500, 10, 100, 0), Err(400));
    }
}
