//! `cargo xtask demo`: the original's experiment, whole, on this machine, in one command.
//!
//! It builds everything, makes a laboratory, logs a million sessions in over real XDP, runs the article's phases and
//! prints one table: each figure of the original beside the one just measured. It fails when the books of kernel, server
//! and clients differ by one datagram or one fen; a figure that falls short of its target is said, and does not fail.

pub mod books;
pub mod evidence;
pub mod report;
pub mod scenario;
pub mod stage;
pub mod table;
pub mod watch;

mod figures;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::fleet::Fleet;
use crate::machine::{Machine, ProgramTimes};
use crate::programs::{Profile, Programs};
use crate::server::Server;
use crate::{ebpf, setup, signal};
use books::Books;
use evidence::Evidence;
use scenario::Scenario;
use stage::Stage;
use table::{Row, Target};
use watch::Seen;

/// Clients ask their last questions and write their reports within this.
const CLIENTS_END_LIMIT: Duration = Duration::from_secs(60);

/// Flags of `cargo xtask demo`.
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// The article's durations instead of a few minutes.
    #[arg(long)]
    full: bool,
    /// Write the table as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for the clients' reports as one, report.json and its page report.html [default: target/demo].
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Sessions to log in, over all client machines.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    sessions: u64,
    /// Client machines.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    clients: usize,
    /// Play over 127.0.0.1 without XDP, as without root.
    #[arg(long)]
    loopback: bool,
    /// Workers of the server [default: one per CPU, at least two].
    #[arg(long, value_name = "COUNT")]
    workers: Option<usize>,
    /// Seconds of each phase that shakes [default: 30 and 60; with --full 600 each].
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// With the programs' dev build.
    #[arg(long, hide = true)]
    dev: bool,
}

impl DemoArgs {
    /// Runs the demo and prints its table.
    ///
    /// # Errors
    /// What could not be built or started, an interrupt, or books that differ.
    pub fn run(self) -> Result<()> {
        if self.sessions == 0 || self.clients == 0 {
            bail!("a demo needs at least one session and one client machine");
        }
        let programs = prepare(self.loopback, if self.dev { Profile::Dev } else { Profile::Release })?;
        let scenario = Scenario::new(self.full, self.seconds);
        println!("{}", Machine::here());
        let evidence = self.play(&programs, &scenario)?;
        let mut rows = figures::rows_of(&evidence);
        let books = Books::of(&evidence);
        rows.push(
            Row::new(
                format!("books: differences in {} equations", books.checked),
                "count",
                books.differences.len() as f64,
            )
            .target(Target::Exactly(0.0)),
        );
        print!("\n{}", table::text_of(&rows));
        if let Some(path) = &self.json {
            table::write_json(path, &rows)?;
        }
        judge(&rows, &books)
    }

    /// Sets the stage, plays the scenario and gathers what everyone has to say; the stage is gone afterwards.
    fn play(&self, programs: &Programs, scenario: &Scenario) -> Result<Evidence> {
        let stage = if self.loopback { Stage::loopback(self.clients)? } else { Stage::set(self.clients, programs)? };
        println!("{}", stage.description());
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let workers = self.workers.unwrap_or(cpus.max(2));
        let _times = stage.has_gate().then(ProgramTimes::take);
        let (server, mut fleet) =
            stage.raise_curtain(programs, self.sessions, workers, &["--http", &stage.http()], scenario)?;
        let seen = watch::watch(&server, &mut fleet, self.sessions, scenario)?;
        let evidence = gather(&stage, &server, &mut fleet, self.sessions, seen)?;
        let folder = self.report.clone().unwrap_or_else(|| setup::target_dir().join("demo"));
        report::leave(programs, &fleet, &folder)?;
        server.end()?;
        Ok(evidence)
    }
}

/// Asks kernel, server and clients, once the clients have ended.
///
/// # Errors
/// When a client left no report, or the server does not answer.
pub fn gather(stage: &Stage, server: &Server, fleet: &mut Fleet, users: u64, seen: Seen) -> Result<Evidence> {
    let reports = fleet.reports(CLIENTS_END_LIMIT)?;
    let kernel = if stage.has_gate() { Some(server.kernel_counts()?) } else { None };
    let status = server.status()?;
    let driver = stage.transmitted(&status.gate.interfaces)?;
    let stack = stage.by_sockets()?;
    Ok(Evidence { users, reports, status, seen, kernel, driver, stack })
}

/// Builds all that the demo runs; the kernel programs only where they can be loaded.
fn prepare(loopback: bool, profile: Profile) -> Result<Programs> {
    if signal::is_root() && !loopback {
        setup::run()?;
        println!("building rp-server, rp-client and the kernel programs ...");
        ebpf::run_briefly(profile)?;
    } else {
        println!("building rp-server and rp-client ...");
    }
    Programs::build(profile)
}

fn judge(rows: &[Row], books: &Books) -> Result<()> {
    let short: Vec<&str> = rows.iter().filter(|row| row.met == Some(false)).map(|row| row.name.as_str()).collect();
    if !short.is_empty() {
        println!("\nshort of their targets: {}", short.join("; "));
    }
    if books.differences.is_empty() {
        println!("\nThe books of kernel, server and clients agree in {} equations.", books.checked);
        return Ok(());
    }
    for difference in &books.differences {
        eprintln!("difference: {difference}");
    }
    bail!("the books differ in {} of {} equations", books.differences.len(), books.checked)
}
