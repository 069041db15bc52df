//! The ledger: its commits beside a bare SQLite loop, users whose answers wait for it, shakes beside it, prizes booked at the rate
//! of the gala's peak, and the way back after a kill.

mod beside;
mod booked;
mod commits;
mod durable;
mod kill;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::ground::GENERATOR_CPU;
use crate::fleet::{Fleet, Seat};
use crate::lab::{Lab, Place};
use crate::programs::Programs;
use crate::server::Server;
use crate::{machine, signal};

pub use beside::Beside;
pub use booked::Booked;
pub use commits::Commits;
pub use durable::{Durable, Way};
pub use kill::Killed;

/// Until a fleet has ended: many times what it takes.
const LIMIT: Duration = Duration::from_secs(300);
/// No limits, and no pings that keep sessions alive: only what is measured.
const UNLIMITED: [&str; 10] =
    ["--workers", "1", "--idle", "86400", "--session-rate", "0", "--strangers-rate", "0", "--prefix-rate", "0"];

/// What these chapters measure.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// By group size.
    pub commits: Vec<Commits>,
    /// By rate and by how the server keeps and says.
    pub durable: Vec<Durable>,
    /// Shakes, by who answers them.
    pub beside: Vec<Beside>,
    /// Prizes at the rate of the peak.
    pub booked: Vec<Booked>,
    /// After a kill.
    pub killed: Option<Killed>,
}

/// Measures the chapters that are wanted.
///
/// # Errors
/// What could not be started, or said something else than expected.
pub fn run(programs: &Programs, is_quick: bool, wants: impl Fn(&str) -> bool) -> Result<Ledger> {
    let mut ledger = Ledger::default();
    if wants("ledger") {
        ledger.commits = commits::run()?;
        ledger.durable = durable::run(programs, is_quick)?;
    }
    // The others take minutes each.
    if wants("beside") && !is_quick {
        ledger.beside = beside::run(programs)?;
    }
    if wants("booked") && !is_quick {
        ledger.booked = booked::run(programs)?;
    }
    if wants("kill") && !is_quick {
        ledger.killed = Some(kill::run(programs)?);
    }
    Ok(ledger)
}

/// A server with a ledger of its own. Its worker pins itself to the first CPU, the subjects'; its other threads run where there
/// is room, as they do on a server of more than one core.
fn start_server(lab: &Lab, programs: &Programs, flags: &[&str]) -> Result<Server> {
    Server::start(programs, Place::inside(lab.server()), lab.room(), &[&UNLIMITED, flags].concat())
}

/// A client machine of the lab, on the generators' CPU.
fn seat(lab: &Lab, number: usize) -> Seat<'_> {
    let (client, link) = &lab.clients()[number];
    Seat {
        name: number.to_string(),
        place: Place::inside(client).on_cpu(GENERATOR_CPU),
        server: format!("{}:2015", link.server_v4()),
        sources: Vec::new(),
    }
}

/// Writes a scenario into the lab's folder; its path.
fn scenario(lab: &Lab, number: usize, phases: &str) -> Result<String> {
    let file = lab.room().file(&format!("scenario-{number}.toml"));
    std::fs::write(&file, format!("[[phase]]\nkind = \"login\"\n{phases}"))?;
    Ok(file.display().to_string())
}

/// Until a unix second has begun; the clients are at work meanwhile.
fn wait_until(second: u64, fleet: &mut Fleet) -> Result<()> {
    while machine::unix_us() / 1_000_000 < second {
        signal::check()?;
        ensure!(fleet.is_running()?, "the clients ended too early:\n{}", fleet.log_tails());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
