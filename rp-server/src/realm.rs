//! The realm key file: read, or made when there is none.
//!
//! One line, as [`RealmKey`] writes it, readable by its owner alone. The account service has the same key and seals tickets
//! under it; several files are several realms, so that keys can be changed while both live.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rand_core::{OsRng, TryRngCore};
use rp_core::ticket::RealmKey;

/// Reads the key; makes one when there is no such file. The flag says whether it was made.
///
/// # Errors
/// The file is no key, others may read it, or the system refuses.
pub fn read_or_make(file: &Path) -> Result<(RealmKey, bool)> {
    match fs::metadata(file) {
        Ok(_) => Ok((read(file)?, false)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok((make(file)?, true)),
        Err(e) => Err(e).with_context(|| format!("looking for the realm key {}", file.display())),
    }
}

/// Reads the key.
///
/// # Errors
/// There is no such file, it is no key, or others may read it.
pub fn read(file: &Path) -> Result<RealmKey> {
    let what = || {
        format!("reading the realm key {}; `rp-server run` makes one, or name another by --realm-key", file.display())
    };
    let mode = fs::metadata(file).with_context(what)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} may be read by others (mode {:o}): chmod 600 {0}", file.display(), mode & 0o777);
    }
    let text = fs::read_to_string(file).with_context(what)?;
    RealmKey::parse(&text)
        .with_context(|| format!("{} is no realm key: one line, a number and 64 hex digits", file.display()))
}

fn make(file: &Path) -> Result<RealmKey> {
    let mut key = [0; 32];
    OsRng.try_fill_bytes(&mut key).context("drawing a realm key from the system's random source")?;
    let key = RealmKey { id: 1, key };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut out| writeln!(out, "{key}"))
        .with_context(|| format!("writing a new realm key to {}; --realm-key names another place", file.display()))?;
    Ok(key)
}
