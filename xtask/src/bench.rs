//! `cargo xtask bench`: what an answer costs, beside what it costs others, in one run.
//!
//! Every subject stands in one namespace behind a cable of its own, on CPU 0; the generators on CPU 1. Loads take turns,
//! all others idle while one works. The receive work of each cable's end is a pinned kernel thread whose time is counted.
//! Loads made of live frames by a kernel program and loads made by socket clients are rows of their own. Figures go into
//! a dated folder that names the machine.

pub mod admin;
pub mod churn;
pub mod ledger;
pub mod login;

mod ground;
mod plan;
mod plot;
mod rows;
mod subject;
mod summary;
mod turn;
mod waking;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::programs::{Profile, Programs};
use crate::{demo::table, ebpf, setup, signal};
use churn::Churn;
use ground::Ground;
use ledger::Ledger;
use login::Login;
use plan::{CHAPTERS, Extent};
use rows::Row;
use subject::{Baselines, Subject};
use turn::{Sample, Turn};
use waking::Woken;

/// Flags of `cargo xtask bench`.
#[derive(clap::Args, Clone, Debug)]
pub struct BenchArgs {
    /// Fewer sessions, rates and rounds, in less than five minutes.
    #[arg(long)]
    quick: bool,
    /// Rounds of the churn, a million log-ins each [default: 10].
    #[arg(long, value_name = "COUNT")]
    rounds: Option<u64>,
    /// Measure nothing: judge the turns of an earlier report anew (its turns.json), and write its summary again.
    #[arg(long, value_name = "FILE")]
    judge: Option<PathBuf>,
    /// Only these chapters, and no report.
    #[arg(long, value_name = "CHAPTER", value_delimiter = ',')]
    only: Vec<String>,
    /// Only what coalescing and busy polling are worth, three minutes: gate, worker or af-xdp.
    #[arg(long, value_name = "WHO", hide_possible_values = true)]
    waking: Option<Woken>,
    /// Write the rows as JSON, too: name, unit, figure, baseline, ratio, target, met.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for the dated report.
    #[arg(long, value_name = "DIR", default_value = "docs/bench")]
    out: PathBuf,
}

/// Everything a bench has measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// How much was asked for.
    pub extent: Extent,
    /// Every turn.
    pub samples: Vec<Sample>,
    /// Log-ins and log-outs in turn, if they were asked for.
    pub churn: Option<Churn>,
    /// Log-ins past the stack at both ends, likewise.
    pub logins: Vec<Login>,
    /// The ledger, likewise.
    #[serde(default)]
    pub ledger: Ledger,
    /// A laden worker whose server is looked at in every other turn, likewise.
    #[serde(default)]
    pub admin: Vec<admin::Looked>,
}

impl BenchArgs {
    /// Measures, prints the summary and writes the report.
    ///
    /// # Errors
    /// Without root or a second CPU, an unknown chapter, what could not be started, or an interrupt.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.judge {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let results = serde_json::from_str(&text).with_context(|| format!("{} has no turns", path.display()))?;
            return self.report(&results, path.parent());
        }
        let machine = Machine::here();
        if !signal::is_root() || machine.cpus < 2 {
            bail!("the bench needs root and two CPUs; run: sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask bench");
        }
        let wants = |chapter: &str| self.only.is_empty() || self.only.iter().any(|only| only == chapter);
        let known = |only: &&String| CHAPTERS.contains(&only.as_str());
        if let Some(unknown) = self.only.iter().find(|only| !known(only)) {
            bail!("there is no chapter {unknown}; there are: {}", CHAPTERS.join(", "));
        }
        setup::run()?;
        ebpf::run(Profile::Release)?;
        let programs = Programs::build(Profile::Release)?;
        if let Some(woken) = self.waking {
            return waking::run(&programs, woken);
        }
        let baselines = Baselines::prepare()?;
        let mut extent = Extent::new(self.quick);
        extent.churn.1 = self.rounds.unwrap_or(extent.churn.1);
        let turns: Vec<Turn> = extent.turns().into_iter().filter(|turn| wants(turn.chapter)).collect();
        let samples = if turns.is_empty() { Vec::new() } else { take_turns(&extent, &turns, &programs, &baselines)? };
        let churn = if wants("churn") {
            println!("log-ins and log-outs in turn ...");
            Some(churn::run(&programs, extent.churn.0, extent.churn.1)?)
        } else {
            None
        };
        let rounds = if wants("login") { extent.logins } else { 0 };
        let logins = login::run(&programs, extent.churn.0, rounds)?;
        let ledger = ledger::run(&programs, self.quick, wants)?;
        let admin = if wants("admin") { admin::run(&programs, admin::Extent::new(self.quick))? } else { Vec::new() };
        let results = Results { machine, extent, samples, churn, logins, ledger, admin };
        let folder = if self.only.is_empty() { Some(summary::folder_of_today(&self.out)?) } else { None };
        self.report(&results, folder.as_deref())
    }

    /// Judges, prints, and writes what has a folder.
    fn report(&self, results: &Results, folder: Option<&Path>) -> Result<()> {
        let rows: Vec<Row> = rows::rows(results);
        let text = summary::text_of(results, &rows);
        print!("\n{text}");
        if let Some(folder) = folder {
            summary::write(folder, results, &rows, &text)?;
        }
        if let Some(path) = &self.json {
            table::write_json(path, &rows)?;
        }
        Ok(())
    }
}

fn take_turns(extent: &Extent, turns: &[Turn], programs: &Programs, baselines: &Baselines) -> Result<Vec<Sample>> {
    let takes_part = |subject: &Subject| turns.iter().any(|turn| turn.subject == *subject);
    let subjects: Vec<Subject> = Subject::ALL.into_iter().filter(takes_part).collect();
    let ground = Ground::prepare(&subjects, programs, baselines)?;
    println!("{} turns, {} seconds", turns.len(), turn::seconds_of(turns));
    ground.play(extent.sessions, turns, |ground, turn| {
        if let (Some(server), "prizes") = (ground.of(turn.subject).server(), turn.chapter) {
            let prizes = turn.load.prizes;
            let (rate, budget) = (prizes.to_string(), (prizes * turn.seconds * 100).to_string());
            // The one before may run still; when none does, that is no fault.
            let _none_runs = server.ask(&["campaign", "stop"]);
            server.ask(&["campaign", "start", "--rate", &rate, "--budget-fen", &budget, "--to-fen", "100"])?;
        }
        Ok(())
    })
}
