//! The `seed` pace: the rule of the system that we reproduce, exactly.
//!
//! Every client wakes at each whole second and decides alone, from (user, total, rate, second), whether to fire. User
//! numbers are permuted over 13 buckets to h; a cyclic window of `rate` values of h fires, or, when the rate divides the
//! total, every (total/rate)-th h. Here the rule is inverted, so that only those who fire are visited.

use super::Due;
use crate::population::Population;

const BUCKETS: u64 = 13;

/// Fires all requests of a second at its start.
pub struct Seed {
    population: Population,
}

impl Seed {
    /// The rule over a population.
    pub fn new(population: Population) -> Self {
        Self { population }
    }

    /// Appends this machine's requests of one second; no more than one per user, so at most `total`.
    pub fn second(&self, unix_s: u64, rate: u32, out: &mut Vec<Due>) {
        let total = self.population.total();
        let rate = u64::from(rate).min(total);
        if rate == 0 {
            return;
        }
        let at_us = unix_s * 1_000_000;
        let (start, step) = if total.is_multiple_of(rate) {
            (unix_s % (total / rate), total / rate)
        } else {
            (((u128::from(unix_s) * u128::from(rate)) % u128::from(total)) as u64, 1)
        };
        for k in 0..rate {
            let number = number_of(total, (start + k * step) % total);
            if let Some(index) = self.population.index_of_number(number) {
                out.push(Due { at_us, index });
            }
        }
    }
}

/// The user number whose bucketed place is `h`.
fn number_of(total: u64, h: u64) -> u64 {
    if total <= BUCKETS {
        return h;
    }
    let (l, r) = (total / BUCKETS, total % BUCKETS);
    // The first r buckets hold l + 1 users each, the others l.
    let long = r * (l + 1);
    let (bucket, place) = if h < long { (h / (l + 1), h % (l + 1)) } else { (r + (h - long) / l, (h - long) % l) };
    place * BUCKETS + bucket
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as it is written down, for one user.
    fn fires(user: u64, total: u64, rate: u64, second: u64) -> bool {
        let h = if total <= 13 {
            user
        } else {
            let (l, rest, q, r) = (total / 13, total % 13, user / 13, user % 13);
            l * r + r.min(rest) + q
        };
        let rate = rate.min(total);
        if total.is_multiple_of(rate) {
            let n = total / rate;
            second % n == h % n
        } else {
            let start = second * rate % total;
            (h + total - start) % total < rate
        }
    }

    #[test]
    fn the_inverted_rule_fires_whom_the_written_rule_fires() {
        for (total, rate) in [(1_000, 300), (1_000, 250), (13, 5), (14, 3), (5, 9), (1_001, 77), (131, 130)] {
            let seed = Seed::new(Population::new(1..=total, None).expect("a range"));
            for second in [0, 1, 2, 999, 1_423_267_200, 1_423_267_201] {
                let mut out = Vec::new();
                seed.second(second, rate, &mut out);
                let mut fired: Vec<u64> = out.iter().map(|due| u64::from(due.index)).collect();
                fired.sort_unstable();
                let expected: Vec<u64> = (0..total).filter(|u| fires(*u, total, rate.into(), second)).collect();
                assert_eq!(fired, expected, "total {total}, rate {rate}, second {second}");
            }
        }
    }

    #[test]
    fn the_total_is_exact_and_due_at_the_whole_second() {
        let seed = Seed::new(Population::new(1..=1_000_000, None).expect("a range"));
        let mut out = Vec::new();
        seed.second(7, 60_000, &mut out);
        assert_eq!(out.len(), 60_000);
        assert!(out.iter().all(|due| due.at_us == 7_000_000));
    }
}
