//! Compiles the kernel programs.

use anyhow::{Result, bail};

/// Compiles rp-ebpf into target/bpf/gate.o and prints the sizes of its programs.
///
/// # Errors
/// When the compiler is missing or refuses.
pub fn run() -> Result<()> {
    bail!("the build of the kernel programs is not written yet")
}
