//! The signals that a server answers to, each heard from when it must not end the process by itself any more.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wish that the configuration is read again. It is heard from the first moment on: a server that reads its ledger back
/// must not end of it, and follows it once it serves.
pub struct Hangups(Signal);

/// All that are heard once there is something to put away. Before that, who wants the server to end need not wait.
pub struct Signals {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) hangup: Signal,
}

impl Hangups {
    /// From here on, inside a runtime.
    ///
    /// # Errors
    /// Signals cannot be heard.
    pub fn hear() -> Result<Self> {
        signal(SignalKind::hangup()).context("listening for SIGHUP").map(Self)
    }
}

impl Signals {
    /// From here on, inside a runtime.
    ///
    /// # Errors
    /// Signals cannot be heard.
    pub fn hear(Hangups(hangup): Hangups) -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        Ok(Self { terminate, interrupt, hangup })
    }
}
