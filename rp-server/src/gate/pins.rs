//! The folder where the counters are pinned: on the common bpf file system, or on one of our own.
//!
//! A lock on the folder says that its server lives. It goes with the process, so pins without a lock are what a killed
//! server left, and the next start removes them.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tracing::warn;

const COMMON_MOUNT: &str = "/sys/fs/bpf";
const COMMON_DIR: &str = "/sys/fs/bpf/red-packet";
const OWN_DIR: &str = "/run/red-packet/bpf";
/// What our own mounts are mounted from, in name, so that a later start knows them again.
const OWN_SOURCE: &str = "red-packet";

/// The folder, locked; emptied and, where it is a mount of our own, unmounted when dropped.
#[derive(Debug)]
pub struct PinDir {
    dir: PathBuf,
    lock: Option<File>,
}

impl PinDir {
    /// Takes the folder for this server: makes it, mounts a bpf file system on it if it is on none, and removes the pins of
    /// a server that was killed.
    ///
    /// # Errors
    /// When another server lives there, or the folder cannot be made or mounted.
    pub fn claim(given: Option<&Path>) -> Result<PinDir> {
        let mounts = Mounts::read()?;
        let dir = mounts.choose(given)?;
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("cannot make the folder {}: give another by --pin", dir.display()))?;
        if !mounts.hold(&dir) {
            mount(&dir).with_context(|| {
                format!(
                    "cannot mount a bpf file system on {}: run `mount -t bpf bpf {COMMON_MOUNT}` as root, or give --pin",
                    dir.display()
                )
            })?;
        }
        let lock = File::open(&dir).with_context(|| format!("cannot open {}", dir.display()))?;
        if lock.try_lock().is_err() {
            bail!("another rp-server has its counters in {}: stop it, or give another folder by --pin", dir.display());
        }
        let claimed = PinDir { dir, lock: Some(lock) };
        claimed.remove_pins();
        Ok(claimed)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    fn remove_pins(&self) {
        for name in super::counters::PINS {
            let pin = self.dir.join(name);
            match std::fs::remove_file(&pin) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!("cannot remove the pin {}: {error}", pin.display());
                }
                _ => {}
            }
        }
    }
}

impl Drop for PinDir {
    fn drop(&mut self) {
        self.remove_pins();
        drop(self.lock.take());
        if Mounts::read().is_ok_and(|mounts| mounts.is_own(&self.dir))
            && let Err(error) = unmount(&self.dir)
        {
            warn!("cannot unmount {}: {error}", self.dir.display());
        }
        // A folder that holds pins of others stays.
        let _not_empty = std::fs::remove_dir(&self.dir);
    }
}

/// What [`PinDir::claim`] would meet.
pub struct Prospect {
    /// The folder.
    pub dir: PathBuf,
    /// It lies on a bpf file system; else one is to be mounted on it.
    pub is_on_bpf: bool,
    /// A living server has it.
    pub is_held: bool,
}

/// Looks, and changes nothing.
///
/// # Errors
/// The mounts cannot be read.
pub fn look(given: Option<&Path>) -> Result<Prospect> {
    let mounts = Mounts::read()?;
    let dir = mounts.choose(given)?;
    let is_held = File::open(&dir).is_ok_and(|dir| dir.try_lock_shared().is_err());
    Ok(Prospect { is_on_bpf: mounts.hold(&dir), is_held, dir })
}

/// The folder where a living server has its counters.
///
/// # Errors
/// When none lives there; says how to start one.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    let folders = match given {
        Some(dir) => vec![dir.to_path_buf()],
        None => vec![PathBuf::from(COMMON_DIR), PathBuf::from(OWN_DIR)],
    };
    let names = || folders.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" and ");
    let pinned = |dir: &PathBuf| dir.join(super::counters::PINS[0]).exists();
    let Some(dir) = folders.iter().find(|dir| pinned(dir)) else {
        bail!(
            "no counters in {}: no rp-server with a gate runs here (or it has another --pin, or only root may look)",
            names()
        );
    };
    let lock = File::open(dir).with_context(|| format!("cannot open {} (run as root)", dir.display()))?;
    if lock.try_lock_shared().is_ok() {
        bail!("the rp-server that left its counters in {} was killed; its next start removes them", dir.display());
    }
    Ok(dir.clone())
}

/// The bpf file systems of this mount namespace: where each is, and what it says it is mounted from.
struct Mounts(Vec<(PathBuf, String)>);

impl Mounts {
    fn read() -> Result<Mounts> {
        let text = std::fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
        Ok(Mounts::of(&text))
    }

    fn of(text: &str) -> Mounts {
        let mut mounts: Vec<(PathBuf, String)> = Vec::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(source), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else { continue };
            // The last mount on a path hides those below it, of whatever type.
            mounts.retain(|(known, _)| known != Path::new(point));
            if kind == "bpf" {
                mounts.push((PathBuf::from(point), source.to_string()));
            }
        }
        Mounts(mounts)
    }

    /// The folder given, or the usual one.
    fn choose(&self, given: Option<&Path>) -> Result<PathBuf> {
        match given {
            Some(dir) => std::path::absolute(dir).with_context(|| format!("--pin {}", dir.display())),
            None if self.is_mount(Path::new(COMMON_MOUNT)) => Ok(PathBuf::from(COMMON_DIR)),
            None => Ok(PathBuf::from(OWN_DIR)),
        }
    }

    fn is_mount(&self, dir: &Path) -> bool {
        self.0.iter().any(|(point, _)| point == dir)
    }

    /// Is this folder a mount of ours, of this start or of one that was killed?
    fn is_own(&self, dir: &Path) -> bool {
        self.0.iter().any(|(point, source)| point == dir && source == OWN_SOURCE)
    }

    /// Does this folder lie on a bpf file system?
    fn hold(&self, dir: &Path) -> bool {
        self.0.iter().any(|(point, _)| dir.starts_with(point))
    }
}

fn path_of(dir: &Path) -> io::Result<CString> {
    CString::new(dir.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn mount(dir: &Path) -> io::Result<()> {
    let (source, point) = (CString::new(OWN_SOURCE)?, path_of(dir)?);
    // SAFETY: the three names are C strings that outlive the call, and a bpf file system needs no data.
    let code = unsafe { libc::mount(source.as_ptr(), point.as_ptr(), c"bpf".as_ptr(), 0, std::ptr::null()) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn unmount(dir: &Path) -> io::Result<()> {
    let point = path_of(dir)?;
    // SAFETY: the name is a C string that outlives the call. Detached, so that a reader inside does not keep it mounted.
    let code = unsafe { libc::umount2(point.as_ptr(), libc::MNT_DETACH) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_known_by_its_type_and_ours_by_its_source() {
        let text = "bpf /sys/fs/bpf bpf rw 0 0\nred-packet /a bpf rw 0 0\nbpf /b bpf rw 0 0\ntmpfs /b tmpfs rw 0 0\n";
        let mounts = Mounts::of(text);
        assert!(mounts.hold(Path::new("/sys/fs/bpf/red-packet")) && mounts.hold(Path::new("/a")));
        assert!(!mounts.hold(Path::new("/b")), "another mount lies on it");
        assert!(!mounts.hold(Path::new("/sys/fs/bpfx")));
        assert!(mounts.is_own(Path::new("/a")) && !mounts.is_own(Path::new("/sys/fs/bpf")));
    }
}
