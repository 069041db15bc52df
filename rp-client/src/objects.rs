//! The client's kernel programs, as `cargo xtask build-ebpf` leaves them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Reads an object: where a package has it (PREFIX/bin/rp-client), from `bpf` beside this executable's folder, or under ./target.
///
/// # Errors
/// When it is not built; names the command that builds it.
pub fn read(name: &str) -> Result<Vec<u8>> {
    let executable = std::env::current_exe().context("cannot tell where this executable lies")?;
    let folders = executable.ancestors().skip(1).take(3).map(Path::to_path_buf).chain([PathBuf::from("target")]);
    let installed = executable.ancestors().nth(2).map(|prefix| prefix.join("lib/red-packet").join(name));
    let built = folders.map(|folder| folder.join("bpf").join(name));
    let found = installed.into_iter().chain(built).find(|path| path.is_file());
    let path = found.with_context(|| format!("bpf/{name} is not built: `cargo xtask build-ebpf` builds it"))?;
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}
