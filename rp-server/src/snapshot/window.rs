//! Where snapshots lie from when they are taken to when somebody looks: the last two minutes of them, and whether the
//! control plane beats.
//!
//! The control plane writes, whoever serves them reads, in another thread: neither waits for the other.

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
        let unix_s = snapshot.unix_s;
        let before = self.history.borrow().clone();
        let before = before.iter().filter(|kept| kept.unix_s < unix_s).cloned();
        let mut all: Vec<Arc<Snapshot>> = before.chain([Arc::new(snapshot)]).collect();
        all.drain(..all.len().saturating_sub(KEPT));
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
        find(&self.history.borrow(), second)
    }

    /// The first snapshot after a second, waiting for it if need be; none once there will be no more.
    pub async fn after(&mut self, second: u64) -> Option<Arc<Snapshot>> {
        loop {
            let found = self.history.borrow_and_update().iter().find(|kept| kept.unix_s > second).cloned();
            if found.is_some() {
                return found;
            }
            self.history.changed().await.ok()?;
        }
    }
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
