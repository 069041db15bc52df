//! Commits beside a bare SQLite loop of the same rows.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::command;
use crate::setup::target_dir;

/// Commits of one group size, from `ledger_speed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commits {
    /// Postings of a group.
    pub group: u64,
    /// Postings a second, ours and the bare loop's.
    pub per_s: [f64; 2],
    /// 99 of a hundred commits take less, in microseconds; likewise.
    pub p99_us: [f64; 2],
    /// The longest of ours, files closed and checkpointed beside it.
    pub longest_us: f64,
}

pub(super) fn run() -> Result<Vec<Commits>> {
    println!("commits beside a bare SQLite loop ...");
    command::show(
        command::cargo()
            .args(["build", "--quiet", "--release", "--package", "rp-server", "--example"])
            .arg("ledger_speed"),
    )?;
    let mut speed = std::process::Command::new(target_dir().join("release/examples/ledger_speed"));
    speed.args(["--seconds", "1", "--rounds", "3", "--dir"]).arg(target_dir().join("ledgers/speed"));
    command::read(&mut speed)?.lines().map(commits_of).collect()
}

/// One line of `ledger_speed`.
fn commits_of(line: &str) -> Result<Commits> {
    let word = |name: &str| -> Result<f64> {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|value| value.parse().ok()).with_context(|| format!("no {name} in: {line}"))
    };
    Ok(Commits {
        group: word("group")? as u64,
        per_s: [word("ours_per_s")?, word("bare_per_s")?],
        p99_us: [word("ours_p99_us")?, word("bare_p99_us")?],
        longest_us: word("ours_max_us")?,
    })
}
