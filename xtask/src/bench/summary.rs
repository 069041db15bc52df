//! The bench's report: a dated folder with a summary for eyes and every window for programs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::Results;
use super::churn::GROWTH_MAX_PERCENT;
use crate::command;
use crate::demo::table::{grouped, write_json};

/// Datagrams of a receive batch.
const BATCH: u64 = 64;
/// Allowed CPU time of the server, in that of the echo.
const RATIO_MAX: f64 = 1.3;

/// The summary.
pub fn text_of(results: &Results) -> String {
    let mut text = format!(
        "{}\nveth, threaded NAPI pinned to the server's CPU and counted, bursts of at most a \
         millisecond, 20 us coalescing; generator on the other CPU; {} sessions\n\n",
        results.machine,
        grouped(results.extent.sessions as f64)
    );
    text += "server CPU per shake, medians of one-second windows, us\n";
    text += "      rate/s    server      echo     ratio  target            lost  p50 server/echo us  p99.9\n";
    for row in &results.comparisons {
        let verdict = if row.ratio <= RATIO_MAX { "met" } else { "SHORT" };
        let [server, echo] = row.latency_us;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>12} {:>9.2} {:>9.2} {:>9.2}  <= {RATIO_MAX} {verdict:<5} {:>5}/{:<5} {:>8.0}/{:<8.0} {:>6.0}/{:.0}   ({} and {} windows{})",
            grouped(row.rate as f64),
            row.server_us,
            row.echo_us,
            row.ratio,
            row.lost[0],
            row.lost[1],
            server[0],
            echo[0],
            server[1],
            echo[1],
            row.windows[0].len(),
            row.windows[1].len(),
            if row.disturbed { ", DISTURBED by other programs" } else { "" },
        );
    }
    let _ = writeln!(
        text,
        "\nhighest rate without loss: {}/s (steps: {})",
        grouped(results.search.highest as f64),
        steps(results)
    );
    text += &bursts(results);
    let churn = &results.churn;
    let flat = if churn.growth_percent <= GROWTH_MAX_PERCENT { "flat" } else { "NOT FLAT" };
    let _ = writeln!(
        text,
        "churn: {} log-ins, {} log-outs, memory {} -> {} bytes ({:+.2} %): {flat}",
        grouped(churn.logins as f64),
        grouped(churn.logouts as f64),
        grouped(churn.bytes[1] as f64),
        grouped(churn.bytes[churn.bytes.len() - 1] as f64),
        churn.growth_percent,
    );
    text
}

/// What came of bursts of at least a receive batch, at the lowest rate that has them.
fn bursts(results: &Results) -> String {
    let burst = |rate: u64| rate / 1000;
    match results.search.steps.iter().find(|step| burst(step.rate) >= BATCH) {
        Some(step) => {
            let (size, rate) = (burst(step.rate), grouped(step.rate as f64));
            format!(
                "bursts of {size} datagrams, one a millisecond ({rate}/s): {} lost, {} repeated\n",
                step.lost, step.retries
            )
        }
        None => String::new(),
    }
}

fn steps(results: &Results) -> String {
    let step = |step: &super::rounds::Step| {
        format!("{} lost {} repeated {}", grouped(step.rate as f64), step.lost, step.retries)
    };
    results.search.steps.iter().map(step).collect::<Vec<_>>().join("; ")
}

/// Writes `summary.md` and `windows.json` into a folder of `out` named after today.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write(out: &Path, results: &Results, text: &str) -> Result<()> {
    let date = command::read(std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let folder = command::root().join(out).join(date.trim());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let summary = format!("# Server CPU per shake beside a bare echo\n\n`cargo xtask bench`\n\n```text\n{text}```\n");
    let path = folder.join("summary.md");
    std::fs::write(&path, summary).with_context(|| format!("cannot write {}", path.display()))?;
    write_json(&folder.join("windows.json"), results)?;
    println!("written to {}", folder.display());
    Ok(())
}
