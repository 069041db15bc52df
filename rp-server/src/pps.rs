//! Packets per second by kind, reason and CPU, from the pinned counters of a running server.

use anyhow::{Result, bail};
use clap::Args;

/// Flags of `rp-server pps`.
#[derive(Args)]
pub struct PpsArgs {}

impl PpsArgs {
    /// Shows the counters.
    ///
    /// # Errors
    /// When no server with a gate runs here.
    pub fn run(self) -> Result<()> {
        bail!("no counters are pinned: no server with a gate runs here")
    }
}
