//! All that runs, and its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use rp_net::wait::Waker;
use tracing::info;

use super::vault::Keeping;
use crate::control::Control;
use crate::gate::Gate;
use crate::sight::Sight;
use crate::worker::{Face, Worker};

/// All that runs, in the order in which it must end.
pub(super) struct Running {
    pub(super) threads: Vec<JoinHandle<Result<()>>>,
    pub(super) wakers: Vec<Waker>,
    pub(super) sight: Arc<Sight>,
    pub(super) keeping: Keeping,
    // The gate goes last: while it is on, workers still drain what it lets through.
    pub(super) _gate: Option<Box<Gate>>,
}

impl Running {
    /// Ends the workers, then the ledger's threads, then the gate.
    ///
    /// # Errors
    /// What ended one of them.
    pub(super) fn stop(self) -> Result<()> {
        Control::stop(&self.sight, &self.wakers);
        let mut outcome = Ok(());
        for thread in self.threads {
            let ended = thread.join().unwrap_or_else(|_| bail!("a worker panicked: see its message above"));
            outcome = outcome.and(ended);
        }
        // What ended the ledger is why the workers ended.
        outcome = self.keeping.end().and(outcome);
        let status = self.sight.status();
        info!(
            sessions = status.sessions,
            balanced = status.money.balanced,
            "stopped: {} sessions were open, {} requests received, {} dropped, {} lost at the sockets, {} replies not sent, \
             {} packets made, {} prizes won, books {}",
            status.sessions,
            status.received.values().sum::<u64>(),
            status.dropped.values().sum::<u64>(),
            status.socket_overflow + status.xsk_lost,
            status.send_failed,
            status.money.made.count,
            status.money.prizes.count,
            if status.money.balanced { "balanced" } else { "NOT BALANCED" },
        );
        outcome
    }
}

/// A worker's thread. However it ends, its face says so, and the control plane stops the rest: a server that lost a
/// worker must not look alive.
pub(super) fn spawn(worker: Worker) -> Result<JoinHandle<Result<()>>> {
    struct Gone(Arc<Face>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.gone.store(true, Ordering::Relaxed);
        }
    }
    let gone = Gone(worker.face.clone());
    std::thread::Builder::new()
        .name(format!("worker-{}", worker.number))
        .spawn(move || {
            let _gone = gone;
            worker.run()
        })
        .context("starting a worker's thread")
}
