//! Why a ledger is not opened: one sentence that says what was found, where, and what to do.

use std::fmt;
use std::path::PathBuf;

use anyhow::Error;

/// Why a ledger is not opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is not what was written.
    Damaged {
        /// Its folder.
        dir: PathBuf,
        /// The file in which it shows.
        file: String,
        /// What was found.
        found: String,
    },
    /// A newer program wrote it.
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// An older program wrote it, and it is only looked at.
    Older {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: i64,
        /// What is known here.
        known: i64,
    },
    /// Its server had another number of SETs.
    OtherSets {
        /// Its folder.
        dir: PathBuf,
        /// The number that it was made with.
        made: u32,
        /// The number that was asked for.
        asked: u32,
    },
    /// Another server has it.
    Held {
        /// Its folder.
        dir: PathBuf,
        /// That server's process, empty when it did not say.
        pid: String,
    },
    /// Another process copies or moves its files.
    Copied {
        /// Its folder.
        dir: PathBuf,
        /// That process, empty when it did not say.
        pid: String,
    },
    /// What is asked for was moved to an archive.
    Archived {
        /// The ledger's folder.
        dir: PathBuf,
        /// The files that are wanted.
        files: String,
    },
    /// The folder, or a file in it, cannot be written.
    Unwritable {
        /// The folder.
        dir: PathBuf,
        /// What was tried, and what the system said.
        said: String,
    },
    /// The folder, or a file in it, cannot be read.
    Unreadable {
        /// The folder.
        dir: PathBuf,
        /// What was tried, and what the system said.
        said: String,
    },
    /// Somebody who is no server of ours holds a file.
    Locked {
        /// The file.
        file: PathBuf,
        /// What SQLite said.
        said: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Damaged { dir, file, found } => write!(
                f,
                "the ledger in {0} is damaged: {file}: {found}; nothing was changed: move the folder aside and restore \
                 it from a copy, or run `rp-server audit --data {0}` to see how far it is sound",
                dir.display()
            ),
            Refusal::Newer { file, version, known } => write!(
                f,
                "{} has version {version}, written by a newer rp-server; this one knows {known}: run the newer one, or \
                 give another folder by --data",
                file.display()
            ),
            Refusal::Older { file, version, known } => write!(
                f,
                "{} has version {version}, and this rp-server reads {known}: start it once, which brings the ledger up",
                file.display()
            ),
            Refusal::OtherSets { dir, made, asked } => write!(
                f,
                "the ledger in {} is of a server with {made} SETs, and a user's SET follows from their number: serve with \
                 --sets {made} instead of {asked}, or give another folder by --data",
                dir.display()
            ),
            Refusal::Held { dir, pid } => write!(
                f,
                "another rp-server (process {}) has the ledger in {}: stop it, or give another folder by --data",
                if pid.is_empty() { "unknown" } else { pid },
                dir.display()
            ),
            Refusal::Copied { dir, pid } => write!(
                f,
                "a backup or an archive of the ledger in {} is under way (process {}): wait for its end",
                dir.display(),
                if pid.is_empty() { "unknown" } else { pid }
            ),
            Refusal::Archived { dir, files } => write!(
                f,
                "{files} of the ledger in {0} are archived and not at hand: to read the ledger, give the folder that \
                 holds them by --archive; to start a server that needs them, copy them back into {0}",
                dir.display()
            ),
            Refusal::Unwritable { dir, said } => write!(
                f,
                "the ledger in {} cannot be written: {said}; that is no damage, and what it holds is as it was: give this \
                 user write access and room there, mend the disk, or give another folder by --data",
                dir.display()
            ),
            Refusal::Unreadable { dir, said } => write!(
                f,
                "the ledger in {} cannot be read: {said}; nothing false was found, and nothing was changed: give this \
                 user read access, mend the disk (the kernel's log says more), or restore the ledger from a copy",
                dir.display()
            ),
            Refusal::Locked { file, said } => write!(
                f,
                "{0} is held by another program, a shell perhaps: {said}; wait for it, or end it (`fuser {0}` names it), and \
                 try again",
                file.display()
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Does somebody else hold a file for now?
pub fn is_locked(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(Refusal::Locked { .. }))
}
