//! What the demo leaves behind: the client machines' reports as one, and its page.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command;
use crate::fleet::Fleet;
use crate::programs::Programs;

/// Merges the reports into `folder` and draws their page, by rp-client; says where they are.
///
/// # Errors
/// When rp-client cannot add them up, or the folder cannot be written.
pub fn leave(programs: &Programs, fleet: &Fleet, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let sum = folder.join("report.json");
    // Whether all was well is the table's to say: the sum of reports with failures is written, too, and its code is 1.
    let output = Command::new(&programs.client)
        .args(["report", "merge"])
        .args(fleet.report_paths())
        .arg("--sum")
        .arg(&sum)
        .output();
    let output = output.context("starting rp-client")?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(said.windows(5).any(|word| word == b"wrote"), "rp-client report merge: {}", String::from_utf8_lossy(&said));
    command::read(Command::new(&programs.client).args(["report", "html"]).arg(&sum))?;
    println!("report: {} and {}", folder.join("report.html").display(), sum.display());
    Ok(())
}
