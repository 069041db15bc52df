//! `rp-client report`: reports shown again, drawn as a page, added up, and compared.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use rp_net::say;

use super::{Report, compare, file, html, merge};
use crate::{expect, summary};

/// What to do with reports.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// What to do.
    #[command(subcommand)]
    pub order: Order,
}

/// What to do with reports.
#[derive(Subcommand, Clone, Debug)]
pub enum Order {
    /// Print a report's summary again
    Show {
        /// Report, as `rp-client run --json` or `--out` writes it
        file: PathBuf,
        /// Limits that make the exit code 1, such as 'p99<1ms,loss<0.01%,mismatch=0'
        #[arg(long, value_name = "LIST", env = "RP_EXPECT", default_value = "")]
        expect: String,
    },
    /// Draw a report as one HTML file, which needs no other
    Html {
        /// Report
        file: PathBuf,
        /// The page [default: beside the report, with the ending .html]
        #[arg(long, value_name = "FILE", env = "RP_PAGE")]
        page: Option<PathBuf>,
    },
    /// Add up the reports of the client machines of one run
    Merge {
        /// Reports
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The sum
        #[arg(long, value_name = "FILE", env = "RP_SUM")]
        sum: PathBuf,
    },
    /// Lay two runs side by side
    Compare {
        /// Report of the first run
        first: PathBuf,
        /// Report of the second run
        second: PathBuf,
        /// Changes beyond which the exit code is 1, such as 'p99<+10%,qps>-1%,loss<=+0'
        #[arg(long, value_name = "LIST", env = "RP_LIMITS", default_value = "")]
        limits: String,
    },
}

impl ReportArgs {
    /// Does it; says whether all was well.
    ///
    /// # Errors
    /// A file cannot be read or written, is no report, or is not of the run of the others.
    pub fn run(&self) -> Result<bool> {
        match &self.order {
            Order::Show { file, expect } => show(file, expect),
            Order::Html { file, page } => draw(file, page.as_deref()),
            Order::Merge { files, sum } => add(files, sum),
            Order::Compare { first, second, limits } => beside(first, second, limits),
        }
    }
}

fn show(path: &Path, expected: &str) -> Result<bool> {
    let expectations = expect::parse(expected)?;
    let mut report = file::read(path)?;
    report.expect(&expectations);
    say!("{}", summary::closing(&report).trim());
    Ok(report.ok)
}

fn draw(path: &Path, out: Option<&Path>) -> Result<bool> {
    let report = file::read(path)?;
    let out = out.map_or_else(|| path.with_extension("html"), Path::to_path_buf);
    write_page(&out, &report)?;
    say!("wrote {}", out.display());
    Ok(true)
}

/// Writes a report's page.
///
/// # Errors
/// It cannot be drawn or written.
pub fn write_page(out: &Path, report: &Report) -> Result<()> {
    let page = html::page(report).context("drawing the page")?;
    std::fs::write(out, page).with_context(|| format!("cannot write {}", out.display()))
}

fn add(paths: &[PathBuf], out: &Path) -> Result<bool> {
    let reports = paths.iter().map(|path| file::read(path)).collect::<Result<Vec<Report>>>()?;
    let sum = merge::merge(reports)?;
    file::write(out, &sum)?;
    say!("{}", summary::closing(&sum).trim());
    say!("wrote {}, the sum of {} client machines", out.display(), sum.machines.len());
    Ok(sum.ok)
}

fn beside(first: &Path, second: &Path, expected: &str) -> Result<bool> {
    let limits = compare::limits(expected)?;
    let (a, b) = (file::read(first)?, file::read(second)?);
    say!("{}", compare::table(&a, &b).trim_end());
    let obstacles = compare::obstacles(&a, &b);
    for obstacle in &obstacles {
        say!("not comparable: {obstacle}");
    }
    let failures: Vec<String> = limits.iter().filter_map(|limit| limit.failure(&a, &b)).collect();
    for failure in &failures {
        say!("FAILED: {failure}");
    }
    if limits.is_empty() {
        return Ok(true);
    }
    if !obstacles.is_empty() {
        say!("FAILED: runs that are not comparable keep within no limits");
    }
    Ok(failures.is_empty() && obstacles.is_empty())
}
