//! What the build of the kernel programs and the laboratory need, found or installed.

use anyhow::{Result, bail};

/// Finds or installs everything, saying what and why.
///
/// # Errors
/// When something is missing and cannot be installed; names the command that would.
pub fn run() -> Result<()> {
    bail!("set-up is not written yet")
}
