//! The folder of a run (`--out`): the report, its page, the log of latencies, and a file of percentiles for each phase.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Packed, Report, file, hgrm, order};

/// The log of latencies in a folder.
pub const LOG: &str = "latency.hlog";

/// Makes the folder, if it is not there.
///
/// # Errors
/// It cannot be made.
pub fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}; see --out", folder.display()))
}

/// Writes everything but the log, which was written while it happened; the files' names.
///
/// # Errors
/// A file cannot be written.
pub fn fill(folder: &Path, report: &Report) -> Result<Vec<PathBuf>> {
    make(folder)?;
    let mut written = vec![folder.join("report.json"), folder.join("report.html")];
    file::write(&written[0], report)?;
    order::write_page(&written[1], report)?;
    for (number, phase) in report.phases.iter().enumerate() {
        for (what, histogram) in [("", &phase.latency_histogram), ("-money", &phase.money_latency_histogram)] {
            let name = format!("{}-{}{what}.hgrm", number + 1, plain(&phase.name));
            written.extend(percentiles(folder, &name, histogram)?);
        }
    }
    Ok(written)
}

/// Nobody has use for an empty file of percentiles.
fn percentiles(folder: &Path, name: &str, packed: &Packed) -> Result<Option<PathBuf>> {
    let histogram = packed.unpacked()?;
    if histogram.is_empty() {
        return Ok(None);
    }
    let path = folder.join(name);
    std::fs::write(&path, hgrm::text_of(&histogram)).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(path))
}

/// A phase's name as a file's: letters and digits, and a dash for whatever else.
fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if name.is_empty() { "phase".to_string() } else { name.chars().take(60).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_may_have_any_name() {
        for (name, file) in [("30 000 QPS", "30-000-qps"), ("../../etc", "etc"), ("红包", "phase"), ("a/b", "a-b")] {
            assert_eq!(plain(name), file);
        }
    }
}
