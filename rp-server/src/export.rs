//! `rp-server ledger export`: every posting as a row of CSV (RFC 4180), for spreadsheets and other people's programs.
//!
//! docs/LEDGER.md says what each column holds.

pub mod row;

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::audit::open;
use crate::copies::{ArchiveArgs, BackupArgs};
use crate::ledger::Reader;

/// Orders about the ledger.
#[derive(Subcommand)]
pub enum LedgerOrder {
    /// Write every posting as a row of CSV
    Export(ExportArgs),
    /// Copy the ledger to a folder from which a server can start, beside its server
    Backup(BackupArgs),
    /// Move the oldest closed files to a folder, beside the server
    Archive(ArchiveArgs),
}

/// Flags of `rp-server ledger export`.
#[derive(Args)]
pub struct ExportArgs {
    /// Folder of the ledger, whether a server runs on it or not
    #[arg(long, env = "RP_DATA", value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Folder that holds files which were archived; repeatable
    #[arg(long, value_name = "FOLDER")]
    archive: Vec<PathBuf>,
    /// First position to write
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    from: u64,
    /// Where to [default: the standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl LedgerOrder {
    /// Carries the order out.
    ///
    /// # Errors
    /// The ledger cannot be read, or what was asked for cannot be written.
    pub fn run(self) -> Result<()> {
        match self {
            LedgerOrder::Export(args) => args.run(),
            LedgerOrder::Backup(args) => args.run(),
            LedgerOrder::Archive(args) => args.run(),
        }
    }
}

impl ExportArgs {
    fn run(&self) -> Result<()> {
        let mut reader = open(&self.data, &self.archive)?;
        match &self.output {
            Some(path) => {
                let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
                self.export(&mut reader, BufWriter::new(file)).with_context(|| format!("writing {}", path.display()))
            }
            None => match self.export(&mut reader, BufWriter::new(std::io::stdout().lock())) {
                // `export | head` ends here.
                Err(error) if is_broken_pipe(&error) => Ok(()),
                other => other,
            },
        }
    }

    fn export(&self, reader: &mut dyn Reader, mut out: impl Write) -> Result<()> {
        out.write_all(row::HEADER.as_bytes())?;
        let mut line = String::new();
        reader.read(self.from, &mut |position, posting| {
            line.clear();
            row::put(position, posting, &mut line);
            Ok(out.write_all(line.as_bytes())?)
        })?;
        Ok(out.flush()?)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
