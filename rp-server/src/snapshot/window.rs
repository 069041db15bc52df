//! Where snapshots lie from when they are taken to when somebody looks: the last two minutes of them, and whether the
//! control plane beats.
//!
//! The control plane writes, whoever serves them reads, in another thread. Between them is a lock, under which nothing is done
//! but to copy a pointer to the history, or to put another in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::watch;

use super::Snapshot;
use crate::life::{Age, Life};

/// Snapshots that are kept: as many seconds.
const KEPT: usize = 120;
/// A control plane that did not beat for so long is stuck: its longest rest is a fiftieth of a second.
const STUCK_US: u64 = 5_000_000;

/// Snapshots, the oldest first.
type History = Arc<[Arc<Snapshot>]>;

/// When the control plane beat last, on the monotonic clock: zero before its first beat, the end of time after its last.
type Pulse = Arc<AtomicU64>;

/// The control plane's side.
pub struct Publisher {
    history: watch::Sender<History>,
    pulse: Pulse,
}

/// The side of who looks.
#[derive(Clone)]
pub struct Window {
    history: watch::Receiver<History>,
    pulse: Pulse,
    life: Arc<Life>,
}

/// Both sides, with nothing between them yet.
pub fn open(life: Arc<Life>) -> (Publisher, Window) {
    let (sender, history) = watch::channel(History::from([]));
    let pulse = Pulse::default();
    (Publisher { history: sender, pulse: pulse.clone() }, Window { history, pulse, life })
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.pulse.store(u64::MAX, Relaxed);
    }
}

impl Publisher {
    /// The control plane beats, at this time of the monotonic clock.
    pub fn beat(&self, mono_us: u64) {
        self.pulse.store(mono_us, Relaxed);
    }

    /// The second of the newest snapshot.
    pub fn newest_s(&self) -> Option<u64> {
        self.history.borrow().last().map(|snapshot| snapshot.unix_s)
    }

    /// Adds a snapshot. After a clock that was set back, those of seconds that come again are gone.
    pub fn publish(&self, snapshot: Snapshot) {
        let all = joined(&self.history.borrow(), snapshot, |snapshot| snapshot.unix_s);
        self.history.send_replace(all.into());
    }

    /// The snapshot of a second, or the newest.
    ///
    /// # Errors
    /// There is none, and why.
    pub fn at(&self, second: Option<u64>) -> Result<Arc<Snapshot>, String> {
        find(&self.history.borrow(), second)
    }
}

impl Window {
    /// Where in its life the server is.
    pub fn age(&self) -> Age {
        self.life.age()
    }

    /// Does the control plane beat, or is it not its time to?
    pub fn is_alive(&self, mono_us: u64) -> bool {
        let beaten_us = self.pulse.load(Relaxed);
        beaten_us == 0 || mono_us.saturating_sub(beaten_us) < STUCK_US
    }

    /// The snapshot of a second, or the newest.
    ///
    /// # Errors
    /// There is none, and why.
    pub fn at(&self, second: Option<u64>) -> Result<Arc<Snapshot>, String> {
        let history = self.history.borrow().clone();
        find(&history, second)
    }

    /// The first snapshot after a second, waiting for it if need be; none once there will be no more.
    pub async fn after(&mut self, second: u64) -> Option<Arc<Snapshot>> {
        loop {
            let history = self.history.borrow_and_update().clone();
            let found = history.iter().find(|kept| kept.unix_s > second).cloned();
            if found.is_some() {
                return found;
            }
            self.history.changed().await.ok()?;
        }
    }
}

/// What is kept once something of a second has come: what is older, as far as there is room.
fn joined<T>(before: &[Arc<T>], newest: T, second_of: impl Fn(&T) -> u64) -> Vec<Arc<T>> {
    let second = second_of(&newest);
    let older = before.iter().filter(|kept| second_of(kept) < second).cloned();
    let mut all: Vec<Arc<T>> = older.chain([Arc::new(newest)]).collect();
    all.drain(..all.len().saturating_sub(KEPT));
    all
}

fn find(history: &[Arc<Snapshot>], second: Option<u64>) -> Result<Arc<Snapshot>, String> {
    let (Some(oldest), Some(newest)) = (history.first(), history.last()) else {
        return Err("no whole second has passed since the start: ask again in a second".to_string());
    };
    let Some(second) = second else { return Ok(newest.clone()) };
    history.iter().find(|kept| kept.unix_s == second).cloned().ok_or_else(|| {
        format!("there is no snapshot of second {second}: those from {} to {} are kept", oldest.unix_s, newest.unix_s)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_minutes_are_kept_and_a_second_that_comes_again_replaces_what_came_after_it() {
        let mut all = Vec::new();
        (1000..1000 + 2 * KEPT as u64).for_each(|second| all = joined(&all, second, |second| *second));
        let seconds = |all: &[Arc<u64>]| (all.len(), all.first().map(|at| **at), all.last().map(|at| **at));
        assert_eq!(seconds(&all), (KEPT, Some(1000 + KEPT as u64), Some(999 + 2 * KEPT as u64)));
        let first = **all.first().expect("some are kept");
        all = joined(&all, first + 5, |second| *second);
        assert_eq!(seconds(&all), (6, Some(first), Some(first + 5)));
        all = joined(&all, 7, |second| *second);
        assert_eq!(seconds(&all), (1, Some(7), Some(7)));
    }

    #[test]
    fn a_control_plane_is_alive_while_it_beats_and_when_it_need_not() {
        let (publisher, window) = open(Arc::new(Life::default()));
        assert!(window.is_alive(1 << 40), "it has not begun");
        publisher.beat(1_000_000);
        assert!(window.is_alive(1_000_000) && window.is_alive(5_999_999) && !window.is_alive(6_000_000));
        assert!(window.at(None).is_err_and(|why| why.contains("ask again")));
        drop(publisher);
        assert!(window.is_alive(1 << 40), "it has ended in order");
    }
}
