//! The schedule of the timed phases: second by second, what is due and when, and the hand that fires it.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::fleet::{Fleet, Outbox};
use crate::pace::{Due, Even, Pace, PaceName};
use crate::population::Population;
use crate::scenario::Phase;

/// A second is laid out this long before it begins.
const AHEAD_US: u64 = 20_000;
/// Requests fired at once, before the answers are looked at again: half of a veth's ring. A generator that cannot keep up
/// falls behind, and says so; it must not drown its own sockets in answers.
const FIRE_MAX: usize = 128;

/// What is due in one second, in order, and how far it has been fired.
#[derive(Default)]
struct Line {
    due: Vec<Due>,
    fired: usize,
    /// Requests that all machines had before this second.
    before: u64,
}

impl Line {
    fn next(&mut self, now_us: u64) -> Option<Due> {
        let due = *self.due.get(self.fired).filter(|due| due.at_us <= now_us)?;
        self.fired += 1;
        Some(due)
    }

    fn next_us(&self) -> u64 {
        self.due.get(self.fired).map_or(u64::MAX, |due| due.at_us)
    }
}

/// The schedule.
pub struct Schedule {
    pace: Pace,
    pace_sends: Even,
    shakes: Line,
    sends: Line,
    rng: ChaCha8Rng,
    start_s: u64,
    /// Seconds of the phase that are laid out.
    laid_out: u32,
    over: bool,
}

impl Schedule {
    /// An empty schedule over a population.
    pub fn new(population: Population, pace: PaceName, seed: u64) -> Self {
        Self {
            pace: Pace::new(pace, population, 0, seed),
            // Another salt, so that those who send are not those who shake in the same moment.
            pace_sends: Even::new(population, population.total() / 3),
            shakes: Line::default(),
            sends: Line::default(),
            rng: ChaCha8Rng::seed_from_u64(seed ^ population.ends().0),
            start_s: 0,
            laid_out: 0,
            over: true,
        }
    }

    /// Begins a phase at a Unix second.
    pub fn begin(&mut self, start_s: u64) {
        (self.start_s, self.laid_out, self.over) = (start_s, 0, false);
    }

    /// Has every request of the phase been fired, and its time passed?
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When [`play`](Self::play) has work again.
    pub fn next_us(&self) -> u64 {
        let end_us = (self.start_s + u64::from(self.laid_out)) * 1_000_000;
        let lay_out_us = end_us.saturating_sub(AHEAD_US);
        let next_us = self.shakes.next_us().min(self.sends.next_us());
        if next_us == u64::MAX { lay_out_us } else { next_us }
    }

    /// Fires what is due of a phase, and lays out its next second in time.
    pub fn play(&mut self, phase: &Phase, number: u8, now_us: u64, fleet: &mut Fleet, out: &mut impl Outbox) {
        for _ in 0..FIRE_MAX {
            let Some(due) = self.shakes.next(now_us) else { break };
            fleet.shake(due.index, due.at_us, number, now_us, out);
        }
        while let (Some(sends), Some(due)) = (phase.sends, self.sends.next(now_us)) {
            fleet.send(due.index, (sends, self.rng.next_u64()), due.at_us, number, now_us, out);
        }
        let fired = self.shakes.next_us() == u64::MAX && self.sends.next_us() == u64::MAX;
        let second = self.start_s + u64::from(self.laid_out);
        if !fired {
            return;
        }
        if self.laid_out < phase.seconds {
            if now_us + AHEAD_US >= second * 1_000_000 {
                self.lay_out(phase, second);
            }
        } else if now_us >= second * 1_000_000 {
            self.over = true;
        }
    }

    fn lay_out(&mut self, phase: &Phase, second: u64) {
        for line in [&mut self.shakes, &mut self.sends] {
            line.due.clear();
            line.fired = 0;
        }
        let rate = phase.rate(self.laid_out);
        self.pace.second(second, rate, self.shakes.before, &mut self.shakes.due);
        self.shakes.before += u64::from(rate);
        if let Some(sends) = phase.sends {
            self.pace_sends.second(second, sends.rate, self.sends.before, &mut self.sends.due);
            self.sends.before += u64::from(sends.rate);
        }
        self.laid_out += 1;
    }
}
