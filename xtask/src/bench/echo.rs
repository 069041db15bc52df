//! The baseline: rp-net's example `echo`, a bare recvmmsg/sendmmsg loop.

use std::path::PathBuf;

use anyhow::Result;

use crate::command;
use crate::setup::target_dir;

/// Compiles it and says where it is.
///
/// # Errors
/// When it does not compile.
pub fn build() -> Result<PathBuf> {
    let mut cargo = command::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "rp-net", "--example", "echo"]);
    command::show(&mut cargo)?;
    Ok(target_dir().join("release/examples/echo"))
}
