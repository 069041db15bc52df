//! Log-ins and log-outs in turn: does the server's memory stay flat?
//!
//! The original leaked with each log-in and hung after 1.8 million.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::demo::stage::Stage;
use crate::fleet::Fleet;
use crate::machine;
use crate::programs::Programs;
use crate::signal;

/// Sessions of a SET that are sure to find room, as in a server of a million: the mean, eleven sigma below the limit.
const SESSIONS_PER_SET: u64 = 3906;
/// Growth of memory that counts as flat, in percent: the allocator's own rounding.
pub const GROWTH_MAX_PERCENT: f64 = 1.0;

/// What the churn showed.
#[derive(Clone, Debug, Serialize)]
pub struct Churn {
    /// Log-ins the server counted.
    pub logins: u64,
    /// Log-outs the server counted.
    pub logouts: u64,
    /// Memory of the server after each round, in bytes.
    pub bytes: Vec<u64>,
    /// Growth from the second round's end to the last's, in percent: slots are used in turn, so two rounds touch them all.
    pub growth_percent: f64,
}

/// Logs all of `sessions` in and out, `rounds` times, at a server with no more SETs than they need.
///
/// # Errors
/// Fewer than three rounds, or what stopped the run.
pub fn run(programs: &Programs, sessions: u64, rounds: u64) -> Result<Churn> {
    ensure!(rounds > 2, "a churn of {rounds} rounds shows nothing: two touch every slot");
    let stage = Stage::set(1, programs)?;
    let sets = sessions.div_ceil(SESSIONS_PER_SET).max(2).to_string();
    let server = stage.start_server(programs, &["--workers", "2", "--sets", &sets])?;
    let file = stage.room().file("churn.toml");
    std::fs::write(&file, "[[phase]]\nkind = \"login\"\n\n[[phase]]\nkind = \"logout\"\n")?;
    let mut bytes = Vec::new();
    for _ in 0..rounds {
        let mut fleet = stage.start_fleet_of(programs, &server, sessions, &file, &[])?;
        wait(&mut fleet)?;
        let status = server.status()?;
        println!("{:>9} log-ins, server memory {} bytes", status.logins, status.memory.bytes());
        bytes.push(status.memory.bytes());
    }
    let status = server.status()?;
    server.end()?;
    let (second, last) = (bytes[1] as f64, bytes[bytes.len() - 1] as f64);
    Ok(Churn { logins: status.logins, logouts: status.logouts, growth_percent: (last / second - 1.0) * 100.0, bytes })
}

fn wait(fleet: &mut Fleet) -> Result<()> {
    while fleet.is_running()? {
        signal::check()?;
        machine::sleep_to_the_next_second();
    }
    fleet.reports(Duration::from_secs(60)).map(drop)
}
