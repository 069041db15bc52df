//! The `even` pace: slot k of a second is due at its k-th part, in bursts of a millisecond.
//!
//! Slots are numbered through the whole run and mapped to users by a multiplication modulo the total: any stretch of
//! `total` slots names each user once, and a multiplier near the golden ratio spreads any short stretch over the whole
//! range of users, hence over the machines.

use super::Due;
use crate::population::Population;

/// Bursts a second has: requests of one millisecond leave together, and are due when it begins.
pub const BURSTS_PER_SECOND: u64 = 1000;

/// The golden ratio's fractional part, 0.618..., over 2^32.
const GOLDEN: u128 = 2_654_435_769;

/// Spreads requests evenly inside the second and over the machines.
pub struct Even {
    population: Population,
    multiplier: u64,
    shift: u64,
}

impl Even {
    /// The schedule over a population, moved by `salt` users.
    pub fn new(population: Population, salt: u64) -> Self {
        let total = population.total();
        let mut multiplier = ((u128::from(total) * GOLDEN) >> 32) as u64;
        while gcd(multiplier.max(1), total) != 1 {
            multiplier += 1;
        }
        Self { population, multiplier: multiplier.max(1), shift: salt % total }
    }

    /// Appends this machine's requests of one second.
    pub fn second(&self, unix_s: u64, rate: u32, before: u64, out: &mut Vec<Due>) {
        let total = self.population.total();
        let start = u128::from(before) * u128::from(self.multiplier) + u128::from(self.shift);
        let mut number = (start % u128::from(total)) as u64;
        for slot in 0..u64::from(rate) {
            if let Some(index) = self.population.index_of_number(number) {
                let burst = slot * BURSTS_PER_SECOND / u64::from(rate);
                out.push(Due { at_us: unix_s * 1_000_000 + burst * (1_000_000 / BURSTS_PER_SECOND), index });
            }
            number += self.multiplier;
            if number >= total {
                number -= total;
            }
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machines(total: u64, count: u64) -> Vec<Even> {
        (0..count)
            .map(|m| {
                let users = (1 + m * total / count)..=((m + 1) * total / count);
                Even::new(Population::new(users, Some(total)).expect("within the total"), 0)
            })
            .collect()
    }

    #[test]
    fn machines_together_fire_exactly_the_rate_each_second() {
        for (total, rate, count) in [(1_000_000, 60_000, 4), (1_000, 30_000, 3), (17, 5, 2), (1, 3, 1), (2, 7, 1)] {
            let machines = machines(total, count);
            for second in 0..4u64 {
                let mut out = Vec::new();
                for machine in &machines {
                    machine.second(1_000 + second, rate, second * u64::from(rate), &mut out);
                }
                assert_eq!(out.len(), rate as usize, "total {total}, rate {rate}");
                assert!(out.iter().all(|due| due.at_us / 1_000_000 == 1_000 + second));
            }
        }
    }

    #[test]
    fn every_machine_fires_in_every_fifth_of_a_second_and_none_holds_over_a_quarter() {
        let (rate, count) = (30_000, 17);
        for machine in machines(1_000_000, count) {
            let mut out = Vec::new();
            machine.second(0, rate, 123_456_789, &mut out);
            let mut fifths = [0; 5];
            for due in &out {
                fifths[(due.at_us / 200_000) as usize] += 1;
            }
            assert!(fifths.iter().all(|n| *n > 0 && 4 * n <= out.len()), "{fifths:?}");
            let fair = rate as usize / count as usize;
            assert!(out.len() > fair * 9 / 10 && out.len() < fair * 11 / 10, "{} of {fair}", out.len());
        }
    }

    #[test]
    fn every_user_fires_once_in_a_round() {
        let total = 12_345;
        let even = &machines(total, 1)[0];
        let mut fired = vec![0; total as usize];
        let mut out = Vec::new();
        for second in 0..5u64 {
            even.second(second, 2_469, second * 2_469, &mut out);
        }
        for due in out {
            fired[due.index as usize] += 1;
        }
        assert!(fired.iter().all(|n| *n == 1));
    }
}
