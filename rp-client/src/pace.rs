//! When which user shakes: the open-loop schedule of one second, alike on all machines.
//!
//! Every pace is a function of the Unix second, so machines agree without talking. `even` and `seed` fire exactly `rate`
//! requests a second over all machines; `poisson` does so on average. Each machine keeps only its own users' share.

mod even;
mod poisson;
mod seed;

use crate::population::Population;

pub use even::Even;
pub use poisson::Poisson;
pub use seed::Seed;

/// One request to come: when it is due, in microseconds since 1970, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Microseconds since 1970.
    pub at_us: u64,
    /// Own index of the user.
    pub index: u32,
}

/// Names of the paces, as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PaceName {
    /// Spread inside the second and over the machines, in bursts of a millisecond.
    Even,
    /// The rule of the original: all at the start of each second, by a window over 13 buckets.
    Seed,
    /// Independent users: exponential gaps.
    Poisson,
}

/// A pace.
pub enum Pace {
    /// See [`Even`].
    Even(Even),
    /// See [`Seed`].
    Seed(Seed),
    /// See [`Poisson`].
    Poisson(Box<Poisson>),
}

impl Pace {
    /// The pace of this name over a population. `salt` keeps two schedules over the same users apart; `seed` is for the
    /// random ones.
    pub fn new(name: PaceName, population: Population, salt: u64, seed: u64) -> Self {
        match name {
            PaceName::Even => Pace::Even(Even::new(population, salt)),
            PaceName::Seed => Pace::Seed(Seed::new(population)),
            PaceName::Poisson => Pace::Poisson(Box::new(Poisson::new(population, seed ^ salt))),
        }
    }

    /// Appends this machine's requests of one Unix second, in the order they are due. `before` is how many requests the
    /// schedule had on all machines before this second.
    pub fn second(&mut self, unix_s: u64, rate: u32, before: u64, out: &mut Vec<Due>) {
        match self {
            Pace::Even(even) => even.second(unix_s, rate, before, out),
            Pace::Seed(seed) => seed.second(unix_s, rate, out),
            Pace::Poisson(poisson) => poisson.second(unix_s, rate, out),
        }
    }
}
