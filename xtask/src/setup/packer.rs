//! cargo-deb, which makes the Debian package: built under target/tools when a package is asked for, and not before.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::tools_dir;
use crate::command;

const VERSION: &str = "3.8.0";

/// Finds it, or builds it.
///
/// # Errors
/// When it does not build.
pub fn cargo_deb() -> Result<PathBuf> {
    let into = tools_dir().join(format!("cargo-deb-{VERSION}"));
    let program = into.join("bin/cargo-deb");
    if program.is_file() {
        return Ok(program);
    }
    println!("setup: building cargo-deb {VERSION} (a minute or two)");
    let build = tools_dir().join("build-cargo-deb");
    let mut cargo = command::cargo();
    // Without its own compressors it takes the system's xz.
    cargo.args([
        "install",
        "cargo-deb",
        "--version",
        VERSION,
        "--locked",
        "--no-default-features",
        "--quiet",
        "--root",
    ]);
    // The workspace's flags are not for it.
    cargo.arg(&into).env("CARGO_TARGET_DIR", &build).current_dir(std::env::temp_dir());
    command::show(&mut cargo).context("cargo-deb was not built")?;
    std::fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    Ok(program)
}
