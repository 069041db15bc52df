//! The notebook: what users were told of money, written to a file as it is heard.
//!
//! Each round of the loop is one write to the system, so that what was heard outlives this program, however it ends.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rp_core::acknowledged::Acknowledged;

/// A file that only grows.
pub struct Notebook {
    file: File,
    path: PathBuf,
    lines: String,
}

impl Notebook {
    /// Opens the file to append to it; makes it when absent.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), lines: String::new() })
    }

    /// Writes down what was told, and empties the list.
    ///
    /// # Errors
    /// What the system says: what was heard and not written is lost as evidence.
    pub fn write(&mut self, told: &mut Vec<Acknowledged>) -> Result<()> {
        if told.is_empty() {
            return Ok(());
        }
        self.lines.clear();
        for line in told.drain(..) {
            writeln!(self.lines, "{line}").context("writing to memory")?;
        }
        self.file.write_all(self.lines.as_bytes()).with_context(|| format!("writing {}", self.path.display()))
    }
}
