//! `cargo xtask bench`: what a shake costs the server, beside a bare recvmmsg/sendmmsg echo in the same minutes.
//!
//! Server and echo stand in one namespace, each behind a cable of its own with an XDP program at both ends, on CPU 0; the
//! generators on CPU 1. Their load takes turns, one idle while the other works, and the receive work of each end is a
//! pinned kernel thread whose time is counted. Figures go into a dated folder that names the machine.

pub mod churn;

mod echo;
mod ground;
mod rounds;
mod summary;
mod window;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::machine::Machine;
use crate::programs::{Profile, Programs};
use crate::{demo::table, ebpf, setup, signal};
use churn::Churn;
use ground::Ground;
use rounds::{Comparison, Search};

/// Flags of `cargo xtask bench`.
#[derive(clap::Args, Clone, Debug)]
pub struct BenchArgs {
    /// Fewer sessions, rates and rounds: shows that the bench works, not what the server costs.
    #[arg(long)]
    quick: bool,
    /// Rounds of the churn, a million log-ins each [default: 10].
    #[arg(long, value_name = "COUNT")]
    rounds: Option<u64>,
    /// Write everything measured as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for the dated report.
    #[arg(long, value_name = "DIR", default_value = "docs/bench")]
    out: PathBuf,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Extent {
    /// Sessions that shake.
    pub sessions: u64,
    /// First and largest rate of the search, and its step, in shakes per second.
    pub search: (u64, u64, u64),
    /// Turns that each subject gets at each rate.
    pub turns: u64,
    /// Seconds of a turn; its first and last are not counted.
    pub turn_s: u64,
    /// Sessions of the churn, and how often they log in and out.
    pub churn: (u64, u64),
}

impl Extent {
    fn new(quick: bool) -> Extent {
        if quick {
            return Extent {
                sessions: 20_000,
                search: (60_000, 80_000, 20_000),
                turns: 2,
                turn_s: 4,
                churn: (20_000, 5),
            };
        }
        Extent { sessions: 1_000_000, search: (60_000, 160_000, 20_000), turns: 3, turn_s: 6, churn: (1_000_000, 10) }
    }
}

/// Everything a bench has measured.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// How much was asked for.
    pub extent: Extent,
    /// The highest rate without loss.
    pub search: Search,
    /// Server beside echo, at 60 000 shakes per second and at the highest rate without loss.
    pub comparisons: Vec<Comparison>,
    /// Log-ins and log-outs in turn.
    pub churn: Churn,
}

/// The rate of the original's last phase.
const PHASE_RATE: u64 = 60_000;

impl BenchArgs {
    /// Measures, prints the summary and writes the report.
    ///
    /// # Errors
    /// Without root or a second CPU, what could not be started, an interrupt, or a run whose books do not balance.
    pub fn run(self) -> Result<()> {
        let machine = Machine::here();
        if !signal::is_root() || machine.cpus < 2 {
            bail!("the bench needs root and two CPUs; run: sudo env \"PATH=$PATH\" cargo xtask bench");
        }
        setup::run()?;
        ebpf::run()?;
        let programs = Programs::build(Profile::Release)?;
        let echo = echo::build()?;
        let mut extent = Extent::new(self.quick);
        extent.churn.1 = self.rounds.unwrap_or(extent.churn.1);
        let (search, comparisons) = {
            let mut ground = Ground::prepare(&programs, &echo)?;
            println!("searching the highest rate without loss ...");
            let search = rounds::search(&mut ground, &extent)?;
            println!("highest rate without loss: {}/s; server and echo take turns ...", search.highest);
            (search.clone(), rounds::compare(&mut ground, &extent, &[PHASE_RATE, search.highest])?)
        };
        println!("log-ins and log-outs in turn ...");
        let churn = churn::run(&programs, extent.churn.0, extent.churn.1)?;
        let results = Results { machine, extent, search, comparisons, churn };
        let text = summary::text_of(&results);
        print!("\n{text}");
        summary::write(&self.out, &results, &text)?;
        if let Some(path) = &self.json {
            table::write_json(path, &results)?;
        }
        Ok(())
    }
}
