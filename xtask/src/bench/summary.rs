//! The bench's report: a dated folder with a summary for eyes, every row and turn for programs, and plots.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::rows::Row;
use super::{Results, plot};
use crate::command;
use crate::demo::table::{Short, grouped, write_json};

const HOW: &str = "veth, copy mode, CPU mitigations as named; threaded NAPI of each cable on its end's CPU and counted, coalescing of \
50 us at the servers' ends and 20 us at the clients'; every subject on CPU 0, all generators on CPU 1; live frames in bursts of 64, of a quarter of a millisecond above 256 000/s, where losses are asked over the eight strands of a cable in turn, else over one; medians of turns in which \
others had less than 15 % of the subjects' CPU and the hypervisor less than 3 % of all, or of all turns where too few \
were quiet (then their number is told); losses, capacities and p99.9 of turns in which the hypervisor took nothing (*left alone*). Knot has a thread for \
each strand that is used; rp-server's gate takes what goes up by AF_XDP; clients have their tickets before they log in. Sockets are dearer here than on bare metal, so ratios to them look better.";

/// The summary.
pub fn text_of(results: &Results, rows: &[Row]) -> String {
    let mut text = format!("{}\n{HOW}\n\n", results.machine);
    text += &format!("{:<72} {:>10} {:>10} {:>7}  {:<9} {}\n", "", "figure", "baseline", "ratio", "target", "");
    for row in rows {
        let baseline = row.baseline.as_ref().map_or_else(String::new, |(_, figure)| Short(*figure).to_string());
        let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        let target = row.target.map_or_else(String::new, |target| target.to_string());
        let verdict = match row.met {
            Some(true) => "met",
            Some(false) => "SHORT",
            None => "",
        };
        let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
        let name = format!("{} [{}]", row.name, row.unit);
        let figure = Short(row.figure).to_string();
        let line = format!("{name:<72} {figure:>10} {baseline:>10} {ratio:>7}  {target:<9} {verdict}{note}");
        text += line.trim_end();
        text.push('\n');
    }
    if let Some(churn) = &results.churn {
        let bytes: Vec<String> = churn.bytes.iter().map(|bytes| grouped(*bytes as f64)).collect();
        text += &format!("\nmemory after each round of log-ins and log-outs: {} bytes\n", bytes.join(", "));
    }
    text
}

/// The folder of `out` that is named after today.
///
/// # Errors
/// There is no `date`.
pub fn folder_of_today(out: &Path) -> Result<PathBuf> {
    let date = command::read(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    Ok(command::root().join(out).join(date.trim()))
}

/// Writes `summary.md`, `rows.json`, `turns.json` and the plots into a folder.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write(folder: &Path, results: &Results, rows: &[Row], text: &str) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let plots = plot::draw(folder, results, rows)?;
    let shown: String = plots.iter().map(|(file, title)| format!("![{title}]({file})\n")).collect();
    let summary = format!("# What an answer costs\n\n`cargo xtask bench`\n\n```text\n{text}```\n\n{shown}");
    let path = folder.join("summary.md");
    std::fs::write(&path, summary).with_context(|| format!("cannot write {}", path.display()))?;
    write_json(&folder.join("rows.json"), &rows)?;
    write_json(&folder.join("turns.json"), results)?;
    println!("written to {}", folder.display());
    Ok(())
}
