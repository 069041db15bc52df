//! The `poisson` pace: users who know nothing of each other. Exponential gaps, any user of this machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::Due;
use crate::population::Population;

/// Fires at random, `rate` a second on average over all machines.
pub struct Poisson {
    population: Population,
    rng: ChaCha8Rng,
    next_us: f64,
}

impl Poisson {
    /// A schedule over a population; machines differ by their first user.
    pub fn new(population: Population, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed ^ population.ends().0.rotate_left(32));
        Self { population, rng, next_us: 0.0 }
    }

    /// Appends this machine's requests of one second.
    pub fn second(&mut self, unix_s: u64, rate: u32, out: &mut Vec<Due>) {
        let own_rate = f64::from(rate) * f64::from(self.population.count()) / self.population.total() as f64;
        if own_rate <= 0.0 {
            return;
        }
        let (start, end) = (unix_s as f64 * 1e6, (unix_s + 1) as f64 * 1e6);
        // After a pause the past is not caught up with: the process has no memory.
        if self.next_us < start {
            self.next_us = start + self.gap_us(own_rate);
        }
        while self.next_us < end {
            let index = ((u64::from(self.rng.next_u32()) * u64::from(self.population.count())) >> 32) as u32;
            out.push(Due { at_us: self.next_us as u64, index });
            self.next_us += self.gap_us(own_rate);
        }
    }

    fn gap_us(&mut self, rate: f64) -> f64 {
        // Within (0, 1], so that the logarithm is finite.
        let uniform = ((self.rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -uniform.ln() * 1e6 / rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_mean_and_variance_of_a_poisson_process() {
        let population = Population::new(1..=500, Some(1_000)).expect("within the total");
        let mut pace = Poisson::new(population, 42);
        let counts: Vec<f64> = (0..2_000u64)
            .map(|second| {
                let mut out = Vec::new();
                pace.second(1_000_000 + second, 400, &mut out);
                assert!(out.is_sorted_by_key(|due| due.at_us));
                assert!(out.iter().all(|due| due.at_us / 1_000_000 == 1_000_000 + second && due.index < 500));
                out.len() as f64
            })
            .collect();
        let mean = counts.iter().sum::<f64>() / 2_000.0;
        let variance = counts.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / 2_000.0;
        assert!((mean - 200.0).abs() < 2.0, "mean {mean}");
        assert!((variance / mean - 1.0).abs() < 0.15, "variance {variance}");
    }
}
