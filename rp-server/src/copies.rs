//! `rp-server ledger backup` and `rp-server ledger archive`: copies of a ledger's files, and the way of old ones out of it.
//!
//! What they do is in `crate::ledger`; here it is asked for, shown while it goes on, and told.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use rp_net::say;

use crate::audit::is_ledger;
use crate::ledger::archive::{Moved, archive};
use crate::ledger::backup::{Copied, backup};

/// How often a long copy says how far it is.
const PROGRESS: Duration = Duration::from_millis(500);
const MEGABYTE: f64 = 1e6;

/// Flags of `rp-server ledger backup`.
#[derive(Args)]
pub struct BackupArgs {
    /// Folder of the ledger, whether a server runs on it or not
    #[arg(long, env = "RP_DATA", value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Folder of the copy: empty, or with an earlier backup of the same ledger
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// Flags of `rp-server ledger archive`.
#[derive(Args)]
pub struct ArchiveArgs {
    /// Folder of the ledger, whether a server runs on it or not
    #[arg(long, env = "RP_DATA", value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Folder that the files move to; made when absent
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Closed files that stay, the newest
    #[arg(long, value_name = "FILES", default_value_t = 16)]
    keep: u32,
}

impl BackupArgs {
    /// Copies, and prints what.
    ///
    /// # Errors
    /// As of [`backup`].
    pub fn run(&self) -> Result<()> {
        is_ledger(&self.data)?;
        let (begun, mut shown) = (Instant::now(), Shown::new());
        let made = backup(&self.data, &self.to, &mut |name, bytes| shown.add(name, bytes));
        shown.end();
        let Copied { files, kept, bytes, position, archived } = made?;
        say!(
            "copied state.db and {} of postings, {:.1} MB, up to posting {position}, in {:.1} s; {} there already",
            counted(files),
            bytes as f64 / MEGABYTE,
            begun.elapsed().as_secs_f64(),
            if kept == 1 { "1 was".to_owned() } else { format!("{kept} were") }
        );
        if let (1.., last) = archived {
            say!("postings 1 to {last} are archived and not in it: keep a copy of their archive, too");
        }
        Ok(())
    }
}

impl ArchiveArgs {
    /// Moves, and prints what.
    ///
    /// # Errors
    /// As of [`archive`].
    pub fn run(&self) -> Result<()> {
        is_ledger(&self.data)?;
        let (begun, mut shown) = (Instant::now(), Shown::new());
        let done = archive(&self.data, &self.to, self.keep, &mut |name, bytes| shown.add(name, bytes));
        shown.end();
        let Moved { files, bytes, archived, needed, left } = done?;
        let gone = match archived.1 {
            0 => "nothing is archived".to_owned(),
            last => format!("postings 1 to {last} are archived"),
        };
        say!(
            "moved {} of postings, {:.1} MB, in {:.1} s; {gone}, {} that are closed stay, and the next start reads from \
             posting {needed} on",
            counted(files),
            bytes as f64 / MEGABYTE,
            begun.elapsed().as_secs_f64(),
            counted(left)
        );
        Ok(())
    }
}

fn counted(files: u32) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// A line on a terminal that tells how far it is.
struct Shown {
    is_terminal: bool,
    bytes: u64,
    told: Instant,
}

impl Shown {
    fn new() -> Shown {
        Shown { is_terminal: std::io::stderr().is_terminal(), bytes: 0, told: Instant::now() }
    }

    fn add(&mut self, name: &str, bytes: u64) {
        self.bytes += bytes;
        if self.is_terminal && self.told.elapsed() > PROGRESS {
            let _unheard = write!(std::io::stderr(), "\r{:.0} MB copied, {name} ", self.bytes as f64 / MEGABYTE);
            self.told = Instant::now();
        }
    }

    fn end(&self) {
        if self.is_terminal {
            let _unheard = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
