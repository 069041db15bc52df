//! The locks on a ledger's folder: one server at a time, and beside it one who copies or moves files. They go with the
//! process, however that ends.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Result;

use super::place::make_private;
use super::refusal::Refusal;

/// Held by the server.
pub const NAME: &str = "lock";
/// Held by a backup or an archive.
pub const COPYING_NAME: &str = "copying.lock";

/// Held until it is dropped.
pub struct Lock(#[allow(dead_code, reason = "open files hold locks")] File);

impl Lock {
    /// Takes the folder, and makes it where there is none.
    ///
    /// # Errors
    /// [`Refusal::Held`] by another, or [`Refusal::Unwritable`].
    pub fn take(dir: &Path) -> Result<Lock> {
        Lock::on(dir, NAME, |dir, pid| Refusal::Held { dir: dir.to_path_buf(), pid })
    }

    /// Keeps others from copying or moving files of the ledger meanwhile, and no server from serving.
    ///
    /// # Errors
    /// [`Refusal::Copied`] by another, or [`Refusal::Unwritable`].
    pub fn take_to_copy(dir: &Path) -> Result<Lock> {
        Lock::on(dir, COPYING_NAME, |dir, pid| Refusal::Copied { dir: dir.to_path_buf(), pid })
    }

    fn on(dir: &Path, name: &str, held: impl Fn(&Path, String) -> Refusal) -> Result<Lock> {
        let unwritable = |tried: &str, error: &std::io::Error| Refusal::Unwritable {
            dir: dir.to_path_buf(),
            said: format!("{tried}: {error}"),
        };
        make_private(dir).map_err(|error| unwritable("making the folder", &error))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(dir.join(name)).map_err(|error| unwritable(&format!("opening {name}"), &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is helps; that it is somebody is known.
                let _unread = file.read_to_string(&mut holder);
                return Err(held(dir, holder.trim().to_owned()).into());
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(unwritable(&format!("locking {name}"), &error).into());
            }
        }
        let put = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        put.map_err(|error| unwritable(&format!("writing {name}"), &error))?;
        Ok(Lock(file))
    }
}
