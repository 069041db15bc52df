//! The folder of one lab: key, admin socket, logs, reports and a bpf file system of its own.
//!
//! Its path is short, because a unix socket's name holds 107 bytes. As root the bpf file system is mounted here, so a lab
//! never meets the pins of a server that runs on the machine, and unmounting it removes every pin at once. Ledgers are
//! elsewhere, among what is built: this folder may be in memory, and a ledger that is not on a disk proves nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::setup::target_dir;
use crate::{command, signal};

/// Where the folders of root's labs are.
pub(super) const FOLDER: &str = "/run/red-packet-lab";

/// A folder that exists as long as this value.
#[derive(Debug)]
pub struct Room {
    path: PathBuf,
    ledgers: PathBuf,
}

impl Room {
    /// Makes the folder of lab `name`; root's get a bpf file system.
    ///
    /// # Errors
    /// When the folder or the mount is refused.
    pub fn create(name: &str) -> Result<Room> {
        let root = signal::is_root();
        let path =
            if root { Path::new(FOLDER).join(name) } else { std::env::temp_dir().join(format!("rp-lab-{name}")) };
        let bpf = path.join("bpf");
        std::fs::create_dir_all(&bpf).with_context(|| format!("cannot make the folder {}", bpf.display()))?;
        let room = Room { path, ledgers: target_dir().join("ledgers").join(name) };
        if root {
            command::run("mount", ["-t".as_ref(), "bpf".as_ref(), "red-packet-lab".as_ref(), bpf.as_os_str()])
                .context("cannot mount a bpf file system; the kernel needs CONFIG_BPF_SYSCALL")?;
        }
        Ok(room)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a server has its ledger.
    pub fn ledger(&self, server: &str) -> PathBuf {
        self.ledgers.join(server)
    }

    /// Where a server pins its maps.
    pub fn pins(&self, server: &str) -> PathBuf {
        self.path.join("bpf").join(server)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        remove(&self.path);
        if self.ledgers.exists()
            && let Err(error) = std::fs::remove_dir_all(&self.ledgers)
        {
            eprintln!("cannot remove {}: {error}", self.ledgers.display());
        }
    }
}

/// Unmounts what is mounted in the folder and removes it; what cannot be removed is said.
pub(super) fn remove(path: &Path) {
    let bpf = path.join("bpf");
    let mounted = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let is_ours = |line: &str| line.split(' ').nth(1).is_some_and(|point| Path::new(point) == bpf);
    if mounted.lines().any(is_ours)
        && let Err(error) = command::run("umount", [bpf.as_os_str()])
    {
        eprintln!("{error:#}");
        return;
    }
    if let Err(error) = std::fs::remove_dir_all(path) {
        eprintln!("cannot remove {}: {error}", path.display());
    }
}
